//! Where keeping what a teacher says pays off, and what is said about it.

mod images;

use images::fashion_mnist_12k;
use study::{
    Augmentation, Numerics, Plan, Study,
    teacher_logits::{Usage, in_words, passes, teacher_logits, views},
};

const LIMIT: u64 = 4_000_000_000;

fn plan_with(text: &str, numerics: Numerics) -> Plan {
    let images = fashion_mnist_12k();
    Plan::new(&Study::from_toml(text).unwrap(), &images, numerics).unwrap()
}

fn plan(seeds: u32, treatment: &str, recipe: &str) -> Plan {
    plan_with(&study(seeds, treatment, recipe), Numerics::CpuF32)
}

fn study(seeds: u32, treatment: &str, recipe: &str) -> String {
    format!(
        "title = \"?\"\ndataset = \"fashion-mnist-12k\"\nseeds = {seeds}\nstudent = {{ architecture = \"wrn-10-1\", epochs = 20 }}\n\
         teacher = {{ architecture = \"wrn-16-2\", epochs = 20 }}\n[treatment]\n{treatment}\n[recipe]\n{recipe}"
    )
}

#[test]
fn passes_are_counted_by_the_views_that_are_drawn_apart() {
    // 3 temperatures × 3 seeds × 20 epochs, of which 60 are drawn apart: 162·(1 − (161/162)^60) = 50.27 views of each image.
    let plan =
        plan(3, "temperature = [1, 4, 16]\nkd_stop_epoch = [0, 4, 8, 12, 16, 20]\nteacher_stop_epoch = [8, 20]", "");
    let teachers = teacher_logits(&plan.segments, LIMIT);
    assert_eq!(teachers.len(), 2);
    for teacher in &teachers {
        assert_eq!((teacher.views, teacher.distinct_epochs), (162, 60));
        assert_eq!(teacher.passes_without, 12_000 * 180);
        let share = teacher.passes_with as f64 / 12e3;
        assert!((share - 50.27).abs() < 0.01, "{share}");
        assert_eq!((teacher.bytes, teacher.usage), (12_000 * 162 * 11 * 4, Usage::Used));
    }
    assert_eq!(
        in_words(&teachers).unwrap(),
        "Teachers' logits are kept (171 MB on disk): 1.2 million forward passes of teachers are paid instead of 4.3 million."
    );
    let shared = self::plan(3, "temperature = [1, 4, 16]", "augmentation_seed = \"shared\"");
    let [teacher] = &teacher_logits(&shared.segments, LIMIT)[..] else { panic!("one teacher") };
    assert_eq!((teacher.distinct_epochs, teacher.passes_without), (20, 12_000 * 180));
    let uncropped = self::plan(2, "", "augmentation = \"none\"");
    let [teacher] = &teacher_logits(&uncropped.segments, LIMIT)[..] else { panic!("one teacher") };
    assert_eq!((teacher.views, teacher.passes_with, teacher.usage), (1, 12_000, Usage::Used));
}

#[test]
fn where_too_few_views_are_asked_for_twice_no_table_is_used() {
    let teachers = teacher_logits(&plan(1, "", "").segments, LIMIT);
    assert_eq!(teachers[0].usage, Usage::SavesTooLittle);
    assert_eq!(teachers[0].passes(), teachers[0].passes_without);
    assert_eq!(
        in_words(&teachers).unwrap(),
        "Teachers' logits are not kept: an image is seen in 162 ways, and in 20 epochs hardly one of them comes again."
    );
    // One seed, whose temperatures ask for the same views.
    assert_eq!(teacher_logits(&plan(1, "temperature = [1, 4]", "").segments, LIMIT)[0].usage, Usage::Used);
}

#[test]
fn the_limit_goes_to_those_that_save_most_and_another_engine_keeps_nothing() {
    let treatment = "temperature = [1, 4]\nkd_stop_epoch = 20\nteacher_stop_epoch = [8, 20]";
    let plan = plan(2, treatment, "");
    let one = teacher_logits(&plan.segments, 100_000_000);
    assert_eq!(one.iter().map(|it| it.usage).collect::<Vec<_>>(), [Usage::Used, Usage::NoRoom]);
    assert!(
        in_words(&one)
            .unwrap()
            .contains("Those of one more teacher are not: their 86 MB are more than is left of the limit")
    );
    let found = passes(&one).unwrap();
    assert_eq!((found.expected, found.bytes), (one[0].passes_with + one[1].passes_without, one[0].bytes));
    assert!(teacher_logits(&plan.segments, 0).iter().all(|it| it.usage == Usage::NoRoom));
    let candle = plan_with(&study(2, treatment, ""), Numerics::CandleF32);
    let candle = teacher_logits(&candle.segments, LIMIT);
    assert!(candle.iter().all(|it| it.usage == Usage::OtherEngine));
    assert!(in_words(&candle).unwrap().contains("only the CPU's own engine"));
    let labels = self::plan(2, "kd_stop_epoch = 0", "");
    assert_eq!((teacher_logits(&labels.segments, LIMIT), in_words(&[])), (vec![], None));
}

#[test]
fn several_studies_ask_together() {
    let (one, other) = (plan(1, "temperature = 4", ""), plan(1, "temperature = 16", ""));
    assert!([&one, &other].iter().all(|plan| teacher_logits(&plan.segments, LIMIT)[0].usage == Usage::SavesTooLittle));
    let both = teacher_logits(one.segments.iter().chain(&other.segments), LIMIT);
    assert_eq!((both.len(), both[0].usage, both[0].passes_without), (1, Usage::Used, 2 * 20 * 12_000));
}

#[test]
fn views_are_as_many_as_crops_and_their_mirror_images() {
    assert_eq!([Augmentation::None, Augmentation::Crop, Augmentation::CropFlip].map(views), [1, 81, 162]);
}
