//! What a study is refused for is what the engine would really take.

use crate::laboratory::{Bench, output, text};
use kernels::{InstructionSet, Network};
use std::process::Command;
use study::Architecture;
use train::cpu_network::kernels_shape;
use train::engine::NetworkShape;

#[test]
fn the_bytes_that_are_estimated_are_those_that_the_engine_holds() {
    for (name, channels, image_size, batch, threads) in [
        ("wrn-10-1", 1, 28, 1, 1),
        ("wrn-10-1", 3, 32, 5, 2),
        ("wrn-16-2", 1, 28, 64, 1),
        ("wrn-16-4", 3, 32, 8, 3),
        ("wrn-40-2", 3, 32, 17, 1),
        ("resnet8", 1, 28, 1, 1),
        ("resnet20", 3, 32, 64, 2),
        ("resnet8x4", 3, 32, 8, 3),
        ("densenet-40-12", 3, 32, 8, 2),
        ("densenet-40-24", 1, 28, 3, 1),
        ("densenet-bc-40-12", 3, 32, 8, 2),
        ("densenet-bc-100-24", 1, 28, 3, 1),
    ] {
        let architecture: Architecture = name.parse().expect("a network");
        let (size, classes) = (image_size as usize, 10);
        let shape =
            kernels_shape(&NetworkShape { architecture, channels: channels as usize, image_size: size, classes })
                .expect("it has operators");
        let set = InstructionSet::Portable;
        let training = Network::new(shape, batch as usize, threads as usize, set).expect("a network").bytes();
        let frozen = Network::for_evaluation(shape, threads as usize, set).expect("a network").bytes();
        for (estimated, held) in [
            (architecture.training_bytes(channels, image_size, 10, batch, threads), training),
            (architecture.evaluation_bytes(channels, image_size, 10, threads), frozen),
        ] {
            // Buffers are filled up to whole cache lines, which the estimate does not count.
            let ratio = held as f64 / estimated as f64;
            assert!((1.0..1.01).contains(&ratio), "{architecture}, batch {batch}: {held} bytes, estimated {estimated}");
        }
    }
}

#[test]
fn a_step_that_does_not_fit_is_refused_before_it_is_begun() {
    let needed = Architecture::WideResNet { depth: 604, width: 20 }.training_bytes(3, 32, 10, 4096, 1);
    if train::memory::bytes().is_none_or(|memory| memory >= needed) {
        eprintln!("skipped: this machine has {needed} bytes of memory, or does not say how many it has");
        return;
    }
    let program = Bench::new().command("plan", "data").get_program().to_owned();
    let step = ["bench", "step", "--architecture", "wrn-604-20", "--batch", "4096", "--threads", "1"];
    let refused = output(Command::new(program).args(step));
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    // Which of the two it is depends on whether this machine could hold one image at a time.
    let either = [
        "--batch: needs 2.0 TB of memory to train wrn-604-20; ",
        "--architecture: needs 109 GB of memory to train on one image",
    ];
    assert!(either.iter().any(|sentence| said.starts_with(sentence)) && said.contains("this machine has"), "{said}");
}
