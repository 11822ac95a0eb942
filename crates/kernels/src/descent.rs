//! What is trained moves against its gradients: a step of SGD, along one gradient or along two with momenta of their own.

use crate::Network;
use crate::buffer::{BLOCK, Buffer};
use crate::parts::PartMut;
use crate::threads::{FlushToZero, SharedPointer};

/// What descent keeps beside numbers that are trained, each as long as they are; nothing on a network made for evaluation.
pub(crate) struct Descent {
    /// Of the last backward pass.
    pub(crate) gradient: Buffer,
    pub(crate) velocity: Buffer,
    /// The gradient that was set aside. Empty until there is one.
    pub(crate) aside: Buffer,
    /// Of the gradients that were not set aside where others were. Empty until a step follows both.
    pub(crate) second_velocity: Buffer,
}

/// What was set aside for the next step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    Nothing,
    /// A gradient after which no backward pass came yet.
    Alone,
    BesideAnother,
}

impl Descent {
    /// Of `len` numbers, where they are trained.
    pub(crate) fn new(len: usize, trains: bool) -> Self {
        let len = if trains { len } else { 0 };
        Descent {
            gradient: Buffer::zeros(len),
            velocity: Buffer::zeros(len),
            aside: Buffer::zeros(0),
            second_velocity: Buffer::zeros(0),
        }
    }

    /// The velocity and its gradient of a step along one.
    fn one(&mut self) -> [[&mut Buffer; 2]; 1] {
        [[&mut self.velocity, &mut self.gradient]]
    }

    /// Those of a step along both.
    fn both(&mut self) -> [[&mut Buffer; 2]; 2] {
        [[&mut self.velocity, &mut self.aside], [&mut self.second_velocity, &mut self.gradient]]
    }
}

impl Network {
    /// One step of SGD with the gradients of the last `backward`: `v ← momentum·v + (gradient + weight_decay·w)`,
    /// `w ← w − learning_rate·v`, for every parameter.
    ///
    /// After steps along two gradients ([`Network::step_along_both`]) it goes on from the sum of both velocities, which is
    /// what moved the weights.
    ///
    /// # Panics
    /// On a network made for evaluation, and where a gradient was set aside that this step would leave out.
    pub fn step(&mut self, learning_rate: f32, momentum: f32, weight_decay: f32) {
        assert!(self.take_aside() == Aside::Nothing, "a gradient was set aside, which a step along one leaves out");
        self.join_velocities();
        self.descend(learning_rate, Descent::one, [(momentum, weight_decay)]);
    }

    /// Keeps the gradients of the last `backward` for [`Network::step_along_both`], apart from those of the next one.
    ///
    /// # Panics
    /// On a network made for evaluation.
    pub fn set_gradient_aside(&mut self) {
        self.training.as_mut().expect("a network made for evaluation has no gradient").aside = Aside::Alone;
        self.each_trained(|_, Descent { gradient, aside, .. }| {
            if aside.is_empty() {
                *aside = Buffer::zeros(gradient.len());
            }
            // The next backward pass sets all of a gradient anew, whatever is there.
            std::mem::swap(gradient, aside);
        });
    }

    /// One step along two gradients, that set aside (1) and that of the last `backward` (2), each with a velocity of its own:
    /// `v₁ ← momenta[0]·v₁ + (g₁ + weight_decay·w)`, `v₂ ← momenta[1]·v₂ + g₂`, `w ← w − learning_rate·(v₁ + v₂)`,
    /// for every parameter. `v₁` is the velocity of [`Network::step`]; `v₂` is 0 before the first such step.
    ///
    /// # Panics
    /// On a network made for evaluation, and where since the last step no gradient was set aside or no other came after it.
    pub fn step_along_both(&mut self, learning_rate: f32, momenta: [f32; 2], weight_decay: f32) {
        assert!(self.take_aside() == Aside::BesideAnother, "a step along two gradients needs one aside and another");
        self.hold_second_velocity();
        // What decays are the weights before the step: the pair that they decay with comes first.
        self.descend(learning_rate, Descent::both, [(momenta[0], weight_decay), (momenta[1], 0.0)]);
    }

    /// What was set aside; from now on it counts as used.
    fn take_aside(&mut self) -> Aside {
        let training = self.training.as_mut().expect("a network made for evaluation has nothing to step");
        std::mem::replace(&mut training.aside, Aside::Nothing)
    }

    /// For each pair of a velocity and a gradient, in their order, a step with its momentum and weight decay.
    fn descend<const PAIRS: usize>(
        &mut self,
        learning_rate: f32,
        pairs: fn(&mut Descent) -> [[&mut Buffer; 2]; PAIRS],
        by: [(f32, f32); PAIRS],
    ) {
        let _flushed = FlushToZero::new();
        self.transformed = false;
        // Stretches of equal length, so that threads have equally much to do.
        const STRETCH: usize = 16 * 1024;
        let mut stretches = Vec::new();
        self.each_trained(|values, descent| {
            let (len, blocks) = (values.len(), values.blocks());
            let values = SharedPointer::new(values);
            let pairs = pairs(descent).map(|pair| {
                pair.map(|buffer| {
                    assert_eq!(buffer.len(), len, "a number for each that is trained");
                    SharedPointer::new(buffer)
                })
            });
            for start in (0..blocks * BLOCK).step_by(STRETCH) {
                stretches.push((values, pairs, start, (blocks - start / BLOCK).min(STRETCH / BLOCK)));
            }
        });
        let descend = self.kernels.descend;
        self.threads.run(stretches.len(), &|stretch, _| {
            let (values, pairs, start, blocks) = stretches[stretch];
            for ([velocity, gradient], (momentum, weight_decay)) in pairs.into_iter().zip(by) {
                // SAFETY: the instruction set is available; the buffers are equally long, and no two stretches overlap.
                unsafe {
                    let (values, velocity, gradient) = (values.at(start), velocity.at(start), gradient.at(start));
                    descend(values, velocity, gradient, blocks, learning_rate, momentum, weight_decay);
                }
            }
        });
    }

    /// Everything that is trained, with what descent keeps of it.
    fn each_trained(&mut self, mut each: impl FnMut(&mut Buffer, &mut Descent)) {
        for part in self.parts_mut() {
            match part {
                PartMut::Convolution(layer) => each(&mut layer.weights, &mut layer.descent),
                PartMut::Norm(norm) => each(&mut norm.values, &mut norm.descent),
                PartMut::Linear(linear) => {
                    each(&mut linear.weights, &mut linear.weights_descent);
                    each(&mut linear.bias, &mut linear.bias_descent);
                }
            }
        }
    }

    /// Whether a step followed two gradients, and none followed one since.
    pub(crate) fn has_second_velocity(&self) -> bool {
        !self.first.descent.second_velocity.is_empty()
    }

    /// At rest, where there is none yet.
    pub(crate) fn hold_second_velocity(&mut self) {
        if !self.has_second_velocity() {
            self.each_trained(|_, descent| descent.second_velocity = Buffer::zeros(descent.velocity.len()));
        }
    }

    /// Forgets all momentum of a second gradient, as before the first step along two.
    pub fn forget_second_momentum(&mut self) {
        self.each_trained(|_, descent| descent.second_velocity = Buffer::zeros(0));
    }

    fn join_velocities(&mut self) {
        if !self.has_second_velocity() {
            return;
        }
        let _flushed = FlushToZero::new();
        self.each_trained(|_, descent| {
            for (sum, second) in descent.velocity.iter_mut().zip(descent.second_velocity.iter()) {
                *sum += second;
            }
            (descent.aside, descent.second_velocity) = (Buffer::zeros(0), Buffer::zeros(0));
        });
    }
}
