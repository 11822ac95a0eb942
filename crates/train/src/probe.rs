//! The conflict of two losses, measured: the gradients of cross-entropy and of a distillation's loss on the same few images.

use crate::TrainError;
use crate::augmentation::{Normalisation, View};
use crate::cosine::{Cosines, cosine};
use crate::dataset::Images;
use crate::engine::{Engine, Weights};
use crate::frozen::Shown;
use crate::objective::{self, Outputs, weighted_gradient};
use crate::random::{Purpose, stream};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::ops::Range;
use study::{CheckpointId, Cosine, Epoch, GradientCosine, PROBE_IMAGES, Seed, Term};

/// What is learnt from a teacher, whole: its terms as they are weighted, without a warm-up, and what it gave for the images of the
/// probe.
pub(crate) struct Asked {
    pub terms: Vec<(f64, Term<CheckpointId>)>,
    pub said: BTreeMap<CheckpointId, Outputs>,
}

/// The images on which gradients are compared, as they are: the same for all trainings on a data set.
pub(crate) struct Probe {
    /// Their places in the training split.
    images: Vec<u32>,
    views: Vec<View>,
    pixels: Vec<f32>,
    values_per_image: usize,
    /// (n), u32.
    labels: Tensor,
    /// Images that go through the network together.
    together: usize,
}

impl Probe {
    /// `batch_size`: as many images as the network can go forward with. Where that is fewer, they go in parts of equal length, and
    /// batch norm sees each part by itself, as in training.
    pub fn draw(images: &Images, normalisation: &Normalisation, batch_size: usize) -> Result<Probe, TrainError> {
        let mut drawn: Vec<u32> = (0..images.train.len() as u32).collect();
        stream(Seed(0), Purpose::GradientProbe, Epoch(0), 0).shuffle(&mut drawn);
        drawn.truncate(PROBE_IMAGES as usize);
        let count = drawn.len();
        let values_per_image = images.values_per_image();
        let mut pixels = vec![0.0; count * values_per_image];
        for (&index, out) in drawn.iter().zip(pixels.chunks_exact_mut(values_per_image)) {
            let image = &images.train.images[index as usize * values_per_image..][..values_per_image];
            normalisation.render(image, View::PLAIN, out);
        }
        let labels: Vec<u32> = drawn.iter().map(|&index| u32::from(images.train.labels[index as usize])).collect();
        let parts = count.div_ceil(batch_size.max(1)).max(1);
        Ok(Probe {
            images: drawn,
            views: vec![View::PLAIN; count],
            pixels,
            values_per_image,
            labels: Tensor::from_vec(labels, count, &Device::Cpu)?,
            together: count.div_ceil(parts).max(1),
        })
    }

    /// As teachers are shown them.
    pub fn shown(&self) -> Shown<'_> {
        Shown { images: &self.images, views: &self.views, pixels: &self.pixels }
    }

    /// How far the gradient of cross-entropy agrees with that of what each of `teachers` asks for. `None` where `leave` says so; then,
    /// and after an error, the network is not what it was. Else it is, to the bit: in training mode its running statistics move, and
    /// are put back.
    pub fn cosines(
        &self,
        network: &mut dyn Engine,
        teachers: &[&Asked],
        leave: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<GradientCosine>>, TrainError> {
        let before = network.weights()?;
        let looks = teachers.iter().flat_map(|asked| &asked.terms).any(|(_, term)| term.needs_attention_maps());
        let mut passed = Passed { probe: self, network, looks, last: None };
        let of_labels = passed.gradient(&[(1.0, Term::CrossEntropy)], &BTreeMap::new())?;
        let mut found = Vec::new();
        for Asked { terms, said } in teachers {
            if leave() {
                return Ok(None);
            }
            found.push(by_group(cosine(&of_labels, &passed.gradient(terms, said)?)));
        }
        network.set_weights(&before)?;
        Ok(Some(found))
    }

    fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (count, together) = (self.images.len(), self.together);
        (0..count).step_by(together).map(move |start| start..(start + together).min(count))
    }
}

fn by_group(cosines: Cosines) -> GradientCosine {
    // The gradient of weights that are finite may be beyond all numbers: then it has no direction either.
    let known = |cosine: Option<f64>| cosine.filter(|cosine| cosine.is_finite()).map(Cosine::from);
    GradientCosine {
        all: known(cosines.all),
        groups: cosines.by_group.into_iter().map(|(_, cosine)| known(cosine)).collect(),
    }
}

/// A network, and the part of the probe that it went forward with last.
struct Passed<'a> {
    probe: &'a Probe,
    network: &'a mut dyn Engine,
    /// Whether any loss looks at attention maps.
    looks: bool,
    last: Option<(Range<usize>, Outputs)>,
}

impl Passed<'_> {
    /// The gradient of a loss's mean over the parts of the probe, each weighted with its images. Where all go through the network
    /// together, they go forward once for all losses.
    fn gradient(
        &mut self,
        terms: &[(f64, Term<CheckpointId>)],
        said: &BTreeMap<CheckpointId, Outputs>,
    ) -> Result<Weights, TrainError> {
        let mut sum = Weights::new();
        for part in self.probe.parts() {
            let labels = self.probe.labels.narrow(0, part.start, part.len())?;
            let said = said.iter().map(|(teacher, said)| Ok((teacher.clone(), of_part(said, &part)?)));
            let said = said.collect::<Result<_, candle_core::Error>>()?;
            let values = objective::terms(terms, &self.forward(&part)?, &labels, &said)?;
            self.network.backward(&weighted_gradient(terms, &values, |_| true)?)?;
            add(&mut sum, self.network.gradients()?, part.len() as f32 / self.probe.images.len() as f32);
        }
        Ok(sum)
    }

    fn forward(&mut self, part: &Range<usize>) -> Result<Outputs, TrainError> {
        if let Some((last, outputs)) = &self.last
            && last == part
        {
            return Ok(outputs.clone());
        }
        let values = self.probe.values_per_image;
        let logits = self.network.forward(&self.probe.pixels[part.start * values..part.end * values])?;
        let attention = if self.looks { self.network.attention()? } else { Vec::new() };
        let outputs = Outputs { logits, attention };
        self.last = Some((part.clone(), outputs.clone()));
        Ok(outputs)
    }
}

fn of_part(whole: &Outputs, part: &Range<usize>) -> Result<Outputs, candle_core::Error> {
    let narrow = |tensor: &Tensor| tensor.narrow(0, part.start, part.len());
    let attention = whole.attention.iter().map(narrow).collect::<Result<_, _>>()?;
    Ok(Outputs { logits: narrow(&whole.logits)?, attention })
}

/// Adds `share` of a gradient.
fn add(sum: &mut Weights, gradient: Weights, share: f32) {
    for (name, mut values) in gradient {
        values.values.iter_mut().for_each(|value| *value *= share);
        match sum.get_mut(&name) {
            Some(sum) => sum.values.iter_mut().zip(values.values).for_each(|(sum, value)| *sum += value),
            None => drop(sum.insert(name, values)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candle_network::CandleNetwork;
    use crate::cpu_network::CpuNetwork;
    use crate::dataset::Split;
    use crate::engine::{NetworkShape, OutputGradient};
    use crate::initial::initial_weights;
    use candle_core::DType;
    use kernels::InstructionSet;
    use study::{Architecture, Dataset, DatasetFacts, SegmentKey};

    const SHAPE: NetworkShape = NetworkShape {
        architecture: Architecture::WideResNet { depth: 10, width: 1 },
        channels: 1,
        image_size: 12,
        classes: 10,
    };

    fn images(count: u32) -> Images {
        let mut random = stream(Seed(0), Purpose::Probe, Epoch(0), 0);
        let mut bytes = |below: u32, len: u32| (0..len).map(|_| random.below(below) as u8).collect::<Vec<u8>>();
        let (pixels, labels) = (bytes(256, count * 144), bytes(10, count));
        let facts = DatasetFacts {
            dataset: Dataset::Mnist,
            checksum: String::new(),
            classes: 10,
            channels: 1,
            image_size: 12,
            train: count,
            validation: 0,
            test: 0,
        };
        let train = Split { images: pixels.into(), labels: labels.into() };
        let (validation, test) = (Split::default(), Split::default());
        Images { facts, train, validation, test, mean: vec![0.5], deviation: vec![0.3], class_names: vec![] }
    }

    fn probe(images: &Images, batch_size: usize) -> Probe {
        Probe::draw(images, &Normalisation::of(images), batch_size).expect("a probe")
    }

    fn network(batch_size: usize) -> CpuNetwork {
        let set = InstructionSet::best();
        let mut network = CpuNetwork::new(&SHAPE, batch_size, 1, set).expect("an engine");
        network.set_weights(&initial_weights(&SHAPE, Seed(1))).expect("its own weights");
        network
    }

    /// What some teacher says, (n, classes).
    fn teacher(count: usize) -> Tensor {
        let mut random = stream(Seed(0), Purpose::Probe, Epoch(1), 0);
        let logits: Vec<f32> = (0..count * 10).map(|_| 3.0 * random.normal()).collect();
        Tensor::from_vec(logits, (count, 10), &Device::Cpu).expect("logits")
    }

    fn id() -> CheckpointId {
        CheckpointId { segment: SegmentKey("teacher".into()), epoch: Epoch(1) }
    }

    /// KD by a teacher who said this.
    fn kd(said: &Tensor, temperature: f64) -> Asked {
        let terms = vec![(0.9, Term::Kd { teacher: id(), temperature })];
        Asked { terms, said: BTreeMap::from([(id(), Outputs::of_logits(said.clone()))]) }
    }

    fn cosines(probe: &Probe, network: &mut dyn Engine, teachers: &[Asked]) -> Vec<GradientCosine> {
        let teachers: Vec<&Asked> = teachers.iter().collect();
        probe.cosines(network, &teachers, &|| false).expect("no error").expect("nobody leaves")
    }

    fn all(cosine: &GradientCosine) -> Vec<i16> {
        cosine.groups.iter().chain([&cosine.all]).map(|cosine| cosine.expect("no gradient is zero").steps).collect()
    }

    #[test]
    fn the_same_images_are_drawn_for_everyone_and_all_where_there_are_few() {
        let (many, few) = (images(300), images(50));
        let drawn = probe(&many, 128).images;
        assert_eq!((drawn.len(), &drawn), (128, &probe(&many, 64).images));
        let mut distinct = drawn.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 128);
        assert!(!drawn.is_sorted() && probe(&few, 128).images.len() == 50);
        let first = drawn[0] as usize;
        let mut plain = vec![0.0; 144];
        Normalisation::of(&many).plain(&many.train.images[first * 144..][..144], &mut plain);
        assert_eq!(probe(&many, 128).pixels[..144], plain);
    }

    #[test]
    fn both_engines_come_to_the_same_and_neither_keeps_a_trace() {
        let images = images(60);
        let probe = probe(&images, 128);
        let said = teacher(60);
        let teachers = [kd(&said, 4.0), kd(&said, 1.0)];
        let mut own = network(128);
        // A step leaves momentum, and statistics that are not where they began.
        own.forward(&probe.pixels).expect("logits");
        own.backward(&OutputGradient::of_logits(said.clone())).expect("gradients");
        own.step(0.05, &study::Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 }).expect("a step");
        let (weights, momentum) = (own.weights().expect("weights"), own.momentum().expect("momentum"));
        let found = cosines(&probe, &mut own, &teachers);
        assert!(own.weights().expect("weights") == weights && own.momentum().expect("momentum") == momentum);
        assert_eq!(cosines(&probe, &mut own, &teachers), found);

        let mut reference = CandleNetwork::new(&SHAPE, &Device::Cpu, DType::F64).expect("an engine");
        reference.set_weights(&weights).expect("its own weights");
        let said = said.to_dtype(DType::F64).expect("logits");
        let expected = cosines(&probe, &mut reference, &[kd(&said, 4.0), kd(&said, 1.0)]);
        assert!(reference.weights().expect("weights") == weights);
        for (found, expected) in found.iter().zip(&expected) {
            let pairs = || all(found).into_iter().zip(all(expected));
            assert!(pairs().all(|(found, expected)| (found - expected).abs() <= 1), "{found:?} {expected:?}");
            assert_eq!(found.groups.len(), 5);
        }
        assert_ne!(found[0], found[1]);
    }

    /// At temperature 1 a teacher that is certain of the labels asks for what they ask for: both gradients on the logits are
    /// softmax − label.
    #[test]
    fn a_teacher_that_says_the_labels_does_not_conflict_with_them() {
        let images = images(60);
        let probe = probe(&images, 128);
        let certain = probe
            .labels
            .to_vec1::<u32>()
            .expect("labels")
            .into_iter()
            .flat_map(|label| (0..10).map(move |class| if class == label { 1e3f32 } else { 0.0 }));
        let certain = Tensor::from_vec(certain.collect(), (60, 10), &Device::Cpu).expect("logits");
        let found = cosines(&probe, &mut network(128), &[kd(&certain, 1.0)]);
        assert_eq!(all(&found[0]), [500; 6]);
    }

    #[test]
    fn images_that_do_not_fit_together_go_in_equal_parts_and_each_teacher_meets_all_of_them() {
        let images = images(60);
        let probe = probe(&images, 25);
        assert!(probe.parts().eq([0..20, 20..40, 40..60]));
        let mut network = network(25);
        let said = teacher(60);
        let found = cosines(&probe, &mut network, &[kd(&said, 4.0), kd(&said, 4.0)]);
        assert_eq!(found[0], found[1]);
        // The same by hand: each part forward and backward by itself, and the mean of the gradients.
        let mut sums = [Weights::new(), Weights::new()];
        for part in probe.parts() {
            let logits = network.forward(&probe.pixels[part.start * 144..part.end * 144]).expect("logits");
            let labels = probe.labels.narrow(0, part.start, 20).expect("labels");
            let said = said.narrow(0, part.start, 20).expect("logits");
            let one_hot: Vec<f32> = labels
                .to_vec1::<u32>()
                .expect("labels")
                .into_iter()
                .flat_map(|label| (0..10).map(move |class| if class == label { 1.0 } else { 0.0 }))
                .collect();
            let one_hot = Tensor::from_vec(one_hot, (20, 10), &Device::Cpu).expect("one-hot labels");
            let softmax = |logits: &Tensor, temperature: f64| {
                candle_nn::ops::softmax_last_dim(&(logits / temperature).expect("logits")).expect("probabilities")
            };
            let of_labels = ((softmax(&logits, 1.0) - one_hot).expect("a gradient") / 20.0).expect("a mean");
            let of_teacher = (softmax(&logits, 4.0) - softmax(&said, 4.0)).expect("a gradient");
            let of_teacher = (of_teacher * (4.0 / 20.0)).expect("a mean");
            for (sum, gradient) in sums.iter_mut().zip([of_labels, of_teacher]) {
                network.backward(&OutputGradient::of_logits(gradient)).expect("gradients");
                add(sum, network.gradients().expect("gradients"), 1.0);
            }
        }
        let expected = by_group(cosine(&sums[0], &sums[1]));
        let pairs = || all(&found[0]).into_iter().zip(all(&expected));
        assert!(pairs().all(|(found, expected)| (found - expected).abs() <= 1), "{found:?} {expected:?}");
    }

    /// The same by hand: each term backward by itself, and the weighted sum of the gradients.
    #[test]
    fn what_a_teacher_asks_for_is_all_that_is_learnt_from_it_as_it_is_weighted() {
        let images = images(60);
        let probe = probe(&images, 128);
        let mut network = network(128);
        let student = Outputs {
            logits: network.forward(&probe.pixels).expect("logits"),
            attention: network.attention().expect("maps"),
        };
        // A teacher looks where the student does not.
        let turned = |map: &Tensor| map.flip(&[1]).and_then(|map| map * 2.0).expect("a map");
        let outputs = Outputs { logits: teacher(60), attention: student.attention.iter().map(turned).collect() };
        let said = BTreeMap::from([(id(), outputs)]);
        let terms = vec![
            (0.4, Term::Kd { teacher: id(), temperature: 4.0 }),
            (50.0, Term::Attention { teacher: id() }),
            (0.7, Term::Dist { teacher: id(), temperature: 1.0, between_weight: 1.0, within_weight: 2.0 }),
        ];
        let mut sum = Weights::new();
        for (value, (weight, _)) in
            objective::terms(&terms, &student, &probe.labels, &said).expect("terms").iter().zip(&terms)
        {
            network.backward(&value.gradient).expect("gradients");
            add(&mut sum, network.gradients().expect("gradients"), *weight as f32);
        }
        let label_terms = [(1.0, Term::CrossEntropy)];
        let of_labels = objective::terms(&label_terms, &student, &probe.labels, &BTreeMap::new()).expect("a term");
        network.backward(&of_labels[0].gradient).expect("gradients");
        let expected = by_group(cosine(&network.gradients().expect("gradients"), &sum));
        let alone = kd(&said[&id()].logits, 4.0);
        let found = cosines(&probe, &mut network, &[Asked { terms, said }, alone]);
        let pairs = || all(&found[0]).into_iter().zip(all(&expected));
        assert!(pairs().all(|(found, expected)| (found - expected).abs() <= 1), "{found:?} {expected:?}");
        assert_ne!(found[0], found[1]);
    }

    #[test]
    fn who_is_asked_to_leave_leaves() {
        let images = images(60);
        let said = teacher(60);
        let left = probe(&images, 128).cosines(&mut network(128), &[&kd(&said, 4.0)], &|| true);
        assert!(left.expect("no error").is_none());
    }
}
