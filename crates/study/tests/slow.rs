//! What takes long is told before it begins, with its cost.

mod images;

use images::fashion_mnist_12k;
use study::{
    DatasetFacts, Machine, Outlook, Speed, Study,
    cost::Pace,
    gallery::{CARDS, Size},
};

/// As two threads of an AVX-512 processor were measured.
const SPEED: Speed = Speed {
    step: Pace { seconds_per_multiply_accumulate: 3.346e-11, seconds_per_activation: 5.975e-9 },
    evaluation: Pace { seconds_per_multiply_accumulate: 1.26e-11, seconds_per_activation: 8.81e-10 },
};

fn machine(images: DatasetFacts) -> Machine {
    Machine { speed: Some(SPEED), teacher_logits_limit: 4_000_000_000, datasets: vec![images], ..images::machine() }
}

fn outlook(machine: &Machine, study: &Study) -> Outlook {
    let ready = machine.ready(&Study::table(&study.to_toml()).unwrap()).unwrap_or_else(|errors| panic!("{errors:?}"));
    Outlook::of(&ready.study, &ready.plan, machine)
}

fn slow(machine: &Machine, dataset: &str, student: &str, teacher: &str) -> Option<String> {
    let text = format!(
        "title = \"?\"\ndataset = \"{dataset}\"\nseeds = 1\nstudent = {{ architecture = \"{student}\", epochs = 2 }}\n\
         teacher = {{ architecture = \"{teacher}\", epochs = 2 }}\ntreatment = {{}}\n"
    );
    outlook(machine, &Study::from_toml(&text).unwrap()).slow
}

#[test]
fn a_network_of_many_small_layers_is_told_with_its_cost() {
    let machine = machine(DatasetFacts { train: 17_000, validation: 0, ..fashion_mnist_12k() });
    let slow = |student: &str, teacher: &str| slow(&machine, "fashion-mnist-12k", student, teacher);
    for (student, teacher) in [("wrn-10-1", "wrn-16-4"), ("wrn-16-1", "wrn-40-1"), ("resnet8", "resnet110")] {
        assert_eq!(slow(student, teacher), None, "{student} {teacher}");
    }
    // Multiply-accumulates and numbers that pass through memory, counted layer by layer in Python: 7.13 ms, 2.89 times; 30.4 ms, 3.16 times.
    let bottleneck = "densenet-bc-40-12 takes a thread about 7.1 ms an image in training, 2.9 times as long as its multiplications take in \
                      wrn-16-2";
    let said = slow("densenet-bc-40-12", "wrn-16-2").unwrap();
    assert_eq!(said, format!("Many small layers are slow here: {bottleneck}."));
    let both = slow("densenet-bc-40-12", "densenet-bc-100-12").unwrap();
    assert!(both.contains(bottleneck) && both.contains("densenet-bc-100-12 takes a thread about 30 ms"), "{both}");
    // Where nothing was measured there is no cost to tell.
    let unknown = Machine { speed: None, ..machine.clone() };
    assert_eq!(self::slow(&unknown, "fashion-mnist-12k", "densenet-bc-40-12", "wrn-16-2"), None);
}

#[test]
fn what_stopping_loses_is_told_where_an_epoch_is_long() {
    let dataset: study::Dataset = "flowers@224".parse().unwrap();
    let images = |train: u32| DatasetFacts {
        dataset,
        channels: 3,
        image_size: 224,
        train,
        validation: 0,
        ..fashion_mnist_12k()
    };
    // A millisecond for a million multiply-accumulates: resnet18 has 1,814 million on such images of ten classes.
    let pace = Pace { seconds_per_multiply_accumulate: 1e-9, seconds_per_activation: 0.0 };
    let speed_of_candle = Some(Speed { step: pace, evaluation: Pace { seconds_per_multiply_accumulate: 0.0, ..pace } });
    let told = |train: u32| {
        let machine = Machine { speed_of_candle, ..machine(images(train)) };
        let text = format!(
            "title = \"?\"\ndataset = \"{dataset}\"\nseeds = 1\nvalidation = 0\n\
             student = {{ architecture = \"resnet18\", epochs = 2 }}\n"
        );
        outlook(&machine, &Study::from_toml(&text).unwrap()).slow.unwrap()
    };
    // 100 images take three minutes, and 5,000 take two and a half hours.
    assert!(!told(100).contains("is stopped"), "{}", told(100));
    let said = told(5_000);
    let expected = "Where this study is stopped, each training under way loses the epoch that it is at: of resnet18 up to 2 h 31 min of a \
                    thread.";
    assert!(said.ends_with(expected), "{said}");
}

/// A night has twelve hours, on two threads too.
#[test]
fn every_experiment_of_the_overnight_size_is_through_by_the_morning() {
    let dataset = Size::Overnight.dataset();
    let machine = machine(dataset.as_published().unwrap());
    let hours = CARDS
        .map(|card| (card.slug, outlook(&machine, &card.study(Size::Overnight)).estimate.unwrap().seconds / 3600.0));
    assert!(hours.iter().all(|(_, hours)| *hours < 12.0), "{hours:.1?}");
}
