//! What takes long enough on this machine that a person should know of it beforehand, with its cost.

use crate::{
    Architecture, Facts, Machine, Numerics, Plan, Start,
    cost::{Speeds, costs, seconds_in_words, slow_in_words},
    numbers,
};

/// In sentences; `None` where nothing does.
pub(crate) fn in_words(plan: &Plan, machine: &Machine) -> Option<String> {
    let all = [slow_in_words(plan, machine), slow_for_their_size(plan, machine), lost_when_stopped(plan, machine)];
    let said: Vec<String> = all.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// What the hand-written engine was made for.
const USUAL: Architecture = Architecture::WideResNet { depth: 16, width: 2 };
/// Networks that take so much longer than that for each multiplication are told.
const SLOWER: f64 = 2.5;

/// "Many small layers are slow here: densenet-bc-40-12 takes a thread about 7.1 ms an image in training, 2.9 times as long as its
/// multiplications take in wrn-16-2."; `None` where no network of the hand-written engine is trained that is so.
fn slow_for_their_size(plan: &Plan, machine: &Machine) -> Option<String> {
    let speed = machine.speed?;
    let images = &plan.segments.first()?.dataset;
    let multiplications =
        |network: Architecture| network.multiply_accumulates(images.channels, images.image_size, images.classes) as f64;
    let usual = speed.step.seconds(USUAL, images) / multiplications(USUAL);
    let trained = plan
        .segments
        .iter()
        .filter(|segment| segment.numerics == Numerics::CpuF32 && !matches!(segment.start, Start::Imported(_)));
    let mut networks: Vec<Architecture> = Vec::new();
    for segment in trained {
        if !networks.contains(&segment.architecture) {
            networks.push(segment.architecture);
        }
    }
    let said = networks.into_iter().filter_map(|network| {
        let seconds = speed.step.seconds(network, images);
        let times = seconds / (usual * multiplications(network));
        (times >= SLOWER).then(|| {
            format!(
                "{network} takes a thread about {} an image in training, {times:.1} times as long as its multiplications take in {USUAL}",
                seconds_in_words(seconds)
            )
        })
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| format!("Many small layers are slow here: {}.", said.join("; ")))
}

/// A part of an epoch is not kept. From this many seconds on it is worth a word.
const LONG_EPOCH: f64 = 600.0;

/// "Where this study is stopped, each training under way loses the epoch that it is at: of resnet50 up to 3 hours of a thread."; `None`
/// where no epoch is long, or it is not known.
fn lost_when_stopped(plan: &Plan, machine: &Machine) -> Option<String> {
    let costs = costs(plan, &Facts::new(), machine, Speeds::of(plan, machine));
    let trained = plan.segments.iter().zip(costs).filter(|(segment, _)| !matches!(segment.start, Start::Imported(_)));
    let known = trained.filter(|(_, cost)| cost.is_known).map(|(segment, cost)| (segment.architecture, cost.epoch));
    let (network, seconds) = known.max_by(|one, other| one.1.total_cmp(&other.1))?;
    (seconds >= LONG_EPOCH).then(|| {
        format!(
            "Where this study is stopped, each training under way loses the epoch that it is at: of {network} up to {} of a thread.",
            numbers::duration(seconds)
        )
    })
}
