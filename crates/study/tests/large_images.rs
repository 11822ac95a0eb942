//! Networks for larger images: where they are allowed, which engine trains them, and what is said of that.

mod images;

use images::fashion_mnist_12k;
use study::{
    Architecture, DatasetFacts, Epoch, EpochMetrics, Facts, Machine, Numerics, Plan, Scores, Segment, SegmentFacts,
    SpecError, Speed, Study,
    cost::{self, Pace},
    teacher_logits::{Usage, teacher_logits, teacher_logits_of},
};

fn written(dataset: &str, student: &str, teacher: &str, treatment: &str) -> String {
    format!(
        "title = \"?\"\ndataset = \"{dataset}\"\nseeds = 2\nvalidation = 100\n\
         student = {{ architecture = {student}, epochs = 4 }}\nteacher = {{ architecture = {teacher}, epochs = 4 }}\n\
         [treatment]\n{treatment}\n"
    )
}

fn errors(dataset: &str, student: &str, teacher: &str, treatment: &str) -> Vec<SpecError> {
    Study::from_toml(&written(dataset, student, teacher, treatment)).err().unwrap_or_default()
}

fn images_of(dataset: &str) -> DatasetFacts {
    let dataset: study::Dataset = dataset.parse().unwrap();
    DatasetFacts {
        dataset,
        channels: 3,
        image_size: dataset.image_size(),
        train: 1000,
        validation: 0,
        test: 200,
        ..fashion_mnist_12k()
    }
}

fn machine(dataset: &str) -> Machine {
    Machine { datasets: vec![images_of(dataset)], ..images::machine() }
}

const SPEED: Speed = {
    let evaluation = Pace { seconds_per_multiply_accumulate: 1e-10, seconds_per_activation: 0.0 };
    Speed { step: Pace { seconds_per_multiply_accumulate: 3e-10, ..evaluation }, evaluation }
};

#[test]
fn networks_are_allowed_for_the_images_that_they_see_alone() {
    assert_eq!(errors("flowers@224", "\"resnet18\"", "\"resnet50\"", "chain = \"resnet34\""), []);
    assert_eq!(errors("flowers@32", "[\"resnet18\", \"wrn-10-1\"]", "\"resnet50\"", ""), []);
    assert_eq!(errors("cifar-10", "\"resnet8\"", "\"resnet18\"", ""), []);
    let told = |errors: Vec<SpecError>| -> Vec<(String, String)> {
        errors.into_iter().map(|error| (error.field, error.given)).collect()
    };
    let large = errors("flowers@96", "[\"resnet18\", \"wrn-10-1\"]", "\"resnet8x4\"", "chain = \"wrn-16-1\"");
    assert_eq!(
        large[0].to_string(),
        "student.architecture: does not see images of 96 × 96 pixels, which flowers@96 has; given: \"wrn-10-1\"; allowed: \
         resnet18, resnet34, resnet50 for such images"
    );
    let expected = [
        ("student.architecture", "\"wrn-10-1\""),
        ("teacher.architecture", "\"resnet8x4\""),
        ("treatment.chain", "\"wrn-16-1\""),
    ];
    assert_eq!(told(large), expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
    let small = errors("mnist", "\"wrn-10-1\"", "\"resnet50\"", "");
    assert_eq!(small[0].field, "teacher.architecture");
    assert!(small[0].allowed.starts_with("images of 32 to 256 pixels for resnet50"), "{}", small[0]);
    // Nobody learns from it.
    assert_eq!(errors("mnist", "\"wrn-10-1\"", "\"resnet50\"", "kd_stop_epoch = 0"), []);
    let nowhere = errors("flowers@100", "\"resnet18\"", "\"resnet50\"", "");
    assert_eq!(nowhere[0].field, "dataset");
    assert!(nowhere[0].allowed.contains("96 to 256, divisible by 32"), "{}", nowhere[0]);
}

#[test]
fn attention_maps_that_do_not_pair_are_refused_at_the_method() {
    let method = |method: &str| format!("method = \"{method}\"");
    assert_eq!(errors("flowers@64", "\"resnet18\"", "\"resnet50\"", &method("at")), []);
    assert_eq!(errors("flowers@64", "\"resnet8\"", "\"densenet-40-12\"", &method("kd-at")), []);
    assert_eq!(errors("flowers@64", "\"wrn-10-1\"", "\"resnet50\"", &method("kd")), []);
    let [refused] = &errors("flowers@64", "[\"resnet18\", \"wrn-10-1\"]", "\"resnet50\"", &method("kd-at"))[..] else {
        panic!("one error")
    };
    assert_eq!((refused.field.as_str(), refused.given.as_str()), ("treatment.method", "\"kd-at\""));
    assert!(
        refused.problem.ends_with("resnet50's are 16, 8, 4, 2 pixels wide, wrn-10-1's are 64, 32, 16 pixels wide"),
        "{refused}"
    );
    // Whoever teaches in between, looks too.
    let chain = format!("{}\nchain = [\"\", \"wrn-10-1\"]", method("at"));
    assert_eq!(errors("flowers@64", "\"resnet18\"", "\"resnet50\"", &chain).len(), 1);
    // Without weight nobody looks.
    let unweighted = format!("{}\nattention_weight = 0", method("kd-at"));
    assert_eq!(errors("flowers@64", "\"wrn-10-1\"", "\"resnet50\"", &unweighted), []);
}

#[test]
fn each_network_has_the_engine_that_has_operators_for_it() {
    let text = written("flowers@64", "[\"resnet18\", \"wrn-10-1\"]", "\"resnet50\"", "");
    let study = Study::from_toml(&text).unwrap();
    let plan = |numerics| Plan::new(&study, &images_of("flowers@64"), numerics).unwrap();
    let (cpu, gpu) = (plan(Numerics::CpuF32), plan(Numerics::CandleF32));
    let mut same = 0;
    for (cpu, gpu) in cpu.segments.iter().zip(&gpu.segments) {
        let has_kernels = matches!(cpu.architecture, Architecture::WideResNet { .. });
        assert_eq!(cpu.numerics == Numerics::CpuF32, has_kernels);
        assert_eq!(gpu.numerics, Numerics::CandleF32);
        // The same arithmetic, the same key; its teacher's too.
        assert_eq!(cpu.key == gpu.key, !has_kernels, "{}", cpu.architecture);
        same += usize::from(cpu.key == gpu.key);
    }
    assert_eq!((cpu.segments.len(), same), (5, 3));
}

/// A table needs logits that do not hang on the images beside: that is the teacher's engine's business, not the student's.
#[test]
fn what_a_teacher_says_is_kept_where_its_own_engine_says_the_same_again() {
    let plan = |student: &str, teacher: &str| {
        let text = written("flowers@32", student, teacher, "temperature = [1, 4]");
        Plan::new(&Study::from_toml(&text).unwrap(), &images_of("flowers@32"), Numerics::CpuF32).unwrap()
    };
    let usage = |plan: &Plan| teacher_logits(&plan.segments, u64::MAX)[0].usage;
    let (by_candle, by_hand) = (plan("\"wrn-10-1\"", "\"resnet18\""), plan("\"resnet18\"", "\"wrn-16-1\""));
    assert_eq!((usage(&by_candle), usage(&by_hand)), (Usage::OtherEngine, Usage::Used));
    let students = by_candle.segments.iter().filter(|segment| !segment.needs().is_empty());
    assert_eq!(teacher_logits_of(students, &by_candle.segments, u64::MAX)[0].usage, Usage::OtherEngine);
}

#[test]
fn what_is_slow_is_told_with_its_cost_where_that_was_measured() {
    let table = |student: &str| Study::table(&written("flowers@64", student, "\"wrn-10-1\"", "")).unwrap();
    let bare = Machine { speed: Some(SPEED), ..machine("flowers@64") };
    let plan = |student: &str| bare.ready(&table(student)).unwrap().plan;
    assert_eq!(cost::slow_in_words(&plan("\"wrn-16-1\""), &bare), None);
    let slow = plan("\"resnet18\"");
    assert_eq!(cost::estimate(&slow, &Facts::new(), &bare), None);
    let said = cost::slow_in_words(&slow, &bare).unwrap();
    assert!(said.ends_with("for resnet18, and candle’s are slow there: how slow was not measured yet."), "{said}");

    let speed_of_candle = Some(Speed {
        step: Pace { seconds_per_multiply_accumulate: 3e-8, seconds_per_activation: 0.0 },
        evaluation: Pace { seconds_per_multiply_accumulate: 1e-9, seconds_per_activation: 0.0 },
    });
    let measured = Machine { speed_of_candle, ..bare.clone() };
    // 148 million multiply-accumulates.
    let said = cost::slow_in_words(&slow, &measured).unwrap();
    let expected = "resnet18 takes a thread about 4.4 s an image in training and 148 ms in evaluation.";
    assert!(said.ends_with(expected), "{said}");
    // Two students of four epochs of 900 images each, on a machine of two threads; beside that 128 images on which gradients are compared.
    let seconds = cost::estimate(&slow, &Facts::new(), &measured).unwrap().seconds;
    let steps = 4.0 * 900.0 * 4.446;
    assert!(steps < seconds && seconds < 1.5 * steps, "{seconds} {steps}");
    // Who has a GPU trains there, and how fast is not known.
    let gpu = Machine { devices: vec!["cuda:0".into()], ..measured };
    let on_gpu = gpu.ready(&table("\"resnet18\"")).unwrap().plan;
    assert_eq!((cost::slow_in_words(&on_gpu, &gpu), cost::estimate(&on_gpu, &Facts::new(), &gpu)), (None, None));
    // Unless the study says that the CPU is to, be it with networks for candle alone.
    let text = written("flowers@64", "\"resnet18\"", "\"resnet50\"", "");
    let table = Study::table(&format!("{text}[recipe]\ndevice = \"cpu\"\n")).unwrap();
    let on_cpu = gpu.ready(&table).unwrap().plan;
    assert!(cost::slow_in_words(&on_cpu, &gpu).unwrap().contains("resnet18 takes a thread about 4.4 s"));
    assert!(cost::estimate(&on_cpu, &Facts::new(), &gpu).is_some());
}

/// What one engine was measured at says nothing of the other, which takes a hundred times as long.
#[test]
fn an_engine_that_was_not_measured_is_promised_no_time() {
    let bare = Machine { speed: Some(SPEED), ..machine("flowers@64") };
    let table = Study::table(&written("flowers@64", "\"resnet18\"", "\"wrn-10-1\"", "")).unwrap();
    let plan = bare.ready(&table).unwrap().plan;
    let after = |measured: &[&Segment], seconds: f64| {
        let scores = Scores { cross_entropy: 0.5, accuracy: 0.9, calibration_error: None };
        let epoch = |segment: &Segment| EpochMetrics {
            epoch: Epoch(segment.from().0 + 1),
            learning_rate: 0.1,
            train: scores,
            train_clean: None,
            validation: None,
            test: None,
            fidelity: Vec::new(),
            seconds,
            images_per_second: 900.0 / seconds,
        };
        let facts =
            |segment: &Segment| SegmentFacts { metrics: vec![epoch(segment)].into(), ..SegmentFacts::default() };
        let facts = measured.iter().map(|segment| (segment.key.clone(), facts(segment))).collect();
        cost::estimate(&plan, &facts, &bare).map(|it| it.seconds)
    };
    let by = |numerics| plan.segments.iter().find(|segment| segment.numerics == numerics).unwrap();
    let (by_hand, by_candle) = (by(Numerics::CpuF32), by(Numerics::CandleF32));
    assert_eq!(after(&[by_hand], 1.0), None);
    let (hundred, thousand) = (after(&[by_hand, by_candle], 100.0).unwrap(), after(&[by_candle], 1000.0).unwrap());
    assert!(hundred < thousand, "{hundred} {thousand}");
}

#[test]
fn what_candle_would_need_is_refused_where_it_does_not_fit() {
    let little = Machine { memory: Some(8_000_000_000), ..machine("flowers@224") };
    let text = written("flowers@224", "\"resnet18\"", "\"resnet50\"", "");
    let table = |batch: u32| Study::table(&format!("{text}[recipe]\nbatch_size = {batch}\n")).unwrap();
    let refused = little.ready(&table(256)).unwrap_err();
    assert_eq!((refused.len(), refused[0].field.as_str()), (1, "recipe.batch_size"), "{refused:?}");
    assert!(refused[0].problem.contains("to train resnet50"), "{}", refused[0]);
    assert!(little.ready(&table(4)).is_ok());
}
