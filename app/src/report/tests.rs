use super::{Curve, Part, answer, report_view};
use crate::{
    chart::at_the_end::picture_svg,
    chart::swept::{Quantity, Tint, ruled, sweep, tints},
    snapshot_html,
};
use leptos::prelude::*;
use study::{
    Architecture, Arm, ArmConfusion, ArmSummary, Comparison, Conflict, Confusion, DatasetFacts, Difference,
    Distillation, Ensembles, Epoch, Failure, Happened, Incident, Line, Metric, Number, Numerics, Plan, Point, Progress,
    Provenance, Report, RunId, Scheme, SearchReport, Seed, Series, Snapshot, State, Study, Verdict,
    ensembles::{EnsembleLine, EnsemblePoint, Members},
    gallery::Card,
    progress::RunProgress,
    search::{Round, RoundReport, Scored},
};

const STUDY: &str = r#"
title = "When should <distillation> stop?"
dataset = "fashion-mnist-12k"
seeds = 3
[student]
architecture = "wrn-10-1"
epochs = 20
[teacher]
architecture = "wrn-16-2"
epochs = 20
[treatment]
kd_stop_epoch = [0, 8, 20]
teacher_stop_epoch = [8, 20]
"#;

fn arm(label: &str, stop: u32, teacher_stop: u32) -> Arm {
    let wide = |depth, width| Architecture::WideResNet { depth, width };
    Arm {
        label: label.into(),
        student: wide(10, 1),
        epochs: Epoch(20),
        distillation: (stop > 0).then(|| Distillation {
            scheme: Scheme::Kd { temperature: 4.0, kd_weight: 0.9 },
            kd_stop_epoch: Epoch(stop),
            cross_entropy_weight_after_stop: (stop < 20).then_some(1.0),
            teacher: wide(16, 2).into(),
            teacher_name: None,
            teacher_epochs: Epoch(20),
            teacher_stop_epoch: Epoch(teacher_stop),
            line: Line::default(),
        }),
        baseline: 0,
    }
}

fn summary(index: usize, arm: &Arm, mean: f64) -> ArmSummary {
    ArmSummary {
        arm: index,
        label: arm.label.clone(),
        runs: (0..3).map(|seed| RunId(format!("{index:015x}{seed}"))).collect(),
        seeds: vec![0, 1, 2],
        by_seed: vec![Some(mean - 0.21), Some(mean + 0.04), Some(mean + 0.17)],
        best_by_seed: vec![Some((Epoch(18), mean - 0.1)), None, Some((Epoch(19), mean))],
        mean: Some(mean),
        interval: Some((mean - 0.28, mean + 0.28)),
        n: 3,
        best_mean: Some(mean + 0.05),
        validation_mean: Some(mean + 0.6),
        difference: (index > 0).then(|| Difference {
            baseline: 0,
            mean: mean - 88.4,
            interval: Some((mean - 88.4 - 0.38, mean - 88.4 + 0.38)),
            p_value: Some(0.012),
            verdict: if mean > 88.8 { Verdict::Better } else { Verdict::NotDistinguishable },
            seeds_needed: (mean <= 88.8).then_some(7),
            n: 3,
        }),
    }
}

pub fn curve(arm: usize, label: &str, stop: Option<u32>, last: f64, scale: f64) -> Series {
    let points = (1..=20u32).map(|epoch| {
        let learnt = 1.0 - (-f64::from(epoch) / 3.0).exp();
        let ripple = f64::from((epoch * 7 + arm as u32 * 3) % 5) * 0.12;
        let mean = last - scale * (1.0 - learnt) + ripple - 0.3;
        let half = 0.25 + scale * 0.05 * (1.0 - learnt);
        Point { epoch: Epoch(epoch), mean, low: mean - half, high: mean + half, seeds: 3 }
    });
    Series {
        arm,
        label: label.into(),
        points: points.collect(),
        kd_stops_at: stop.map(Epoch),
        drops: vec![Epoch(6), Epoch(12), Epoch(18)],
    }
}

fn conflict(arm: usize, epochs: u32) -> Conflict {
    let cosine = |group: usize, epoch: u32| {
        let learnt = 1.0 - (-f64::from(epoch) / 6.0).exp();
        // The head has none in the first epoch.
        (group < 4 || epoch > 1)
            .then_some(((0.9 - learnt - 0.08 * group as f64 + 0.02 * arm as f64) * 1e4).round() / 1e4)
    };
    Conflict {
        arm,
        epochs: (1..=epochs).map(Epoch).collect(),
        groups: (0..5).map(|group| (1..=epochs).map(|epoch| cosine(group, epoch)).collect()).collect(),
    }
}

fn confusion(arm: usize, label: String) -> ArmConfusion {
    let more = arm as u32;
    let counts = vec![vec![2_700, 240 + more, 60 - more], vec![300, 2_700, 0], vec![6, 0, 2_994]];
    ArmConfusion { arm, label, seeds: vec![Seed(0), Seed(1), Seed(2)], counts }
}

/// A report as a finished study gives it, with numbers made up for looking at.
pub fn report() -> Report {
    let arms = vec![
        arm("labels only", 0, 0),
        arm("KD until 8, teacher stopped at 8", 8, 8),
        arm("KD until 8, teacher stopped at 20", 8, 20),
        arm("KD to the end, teacher stopped at 8", 20, 8),
        arm("KD to the end, teacher stopped at 20", 20, 20),
    ];
    let means = [88.4, 89.12, 88.95, 88.72, 88.31];
    let summaries: Vec<ArmSummary> =
        arms.iter().zip(means).enumerate().map(|(index, (arm, mean))| summary(index, arm, mean)).collect();
    let curves = |last: f64, spread: f64, scale: f64| -> Vec<Series> {
        arms.iter()
            .enumerate()
            .map(|(index, arm)| {
                let stop = arm.distillation.as_ref().map(|it| it.kd_stop_epoch.0).filter(|stop| *stop < 20);
                curve(index, &arm.label, stop, last + spread * (means[index] - 88.4), scale)
            })
            .collect()
    };
    let runs = summaries.iter().flat_map(|summary| {
        summary.runs.iter().zip(0..).map(|(run, seed)| RunProgress {
            run: run.clone(),
            arm: summary.arm,
            seed,
            epochs_done: 20,
            epochs_total: 20,
            state: State::Finished,
        })
    });
    Report {
        study: Study::from_toml(STUDY).unwrap(),
        progress: Progress {
            state: State::Finished,
            epochs_done: 272,
            epochs_total: 272,
            runs: runs.collect(),
            left: None,
            failures: Vec::new(),
        },
        arms: arms.clone(),
        runs: 15,
        segments: 16,
        epochs: 272,
        epochs_without_sharing: 320,
        comparison: Comparison {
            arms: summaries,
            model: "arm + seed (randomised blocks), 5 arms × 3 seeds, 8 degrees of freedom".into(),
            degrees_of_freedom: Some(8),
            residual_deviation: Some(0.21),
            test_sampling_error: Some(0.62),
            answer: "KD until 8, teacher stopped at 8 beats labels only by 0.72 ± 0.38 points (3 seeds, p = 0.012)"
                .into(),
            remarks: vec!["Students of one teacher (seed 0): the intervals speak of students of that teacher.".into()],
        },
        conflicts: (0..5).map(|arm| conflict(arm, 20)).collect(),
        ensembles: None,
        search: None,
        confusion: Some(Confusion {
            classes: ["T-shirt/top", "<Coat>", "Bag"].map(String::from).to_vec(),
            arms: (0..5).map(|arm| confusion(arm, arms[arm].label.clone())).collect(),
        }),
        curves: vec![
            (Metric::ValidationAccuracy, curves(88.9, 1.2, 25.0)),
            (Metric::GradientCosine, curves(-0.1, -0.1, -0.9)),
            (Metric::CalibrationErrorValidation, curves(4.0, 0.5, -6.0)),
            (Metric::KdLossValidation, curves(2.1, -0.4, -9.0)),
            (Metric::AgreementValidation, curves(90.5, 1.0, 22.0)),
            (Metric::TrainAccuracy, curves(93.0, 1.0, 30.0)),
        ],
        provenance: vec![Provenance {
            version: "0.1.0".into(),
            training_version: 1,
            host: String::new(),
            instruction_set: "avx2".into(),
            threads: 1,
            device: "cpu".into(),
            data_checksum: "5d8ef0a1b2c3d4e5f60718293a4b5c6d".into(),
        }],
        incidents: Vec::new(),
        test_images: 10_000,
        teachers: Vec::new(),
        images: None,
        started_at: None,
        training_seconds: None,
    }
}

#[test]
fn a_frozen_comparison_is_complete_without_scripts() {
    let snapshot = Snapshot { version: Snapshot::VERSION, frozen_at: 1_795_512_345, report: report() };
    let html = snapshot_html(&snapshot, "body { color: black }");
    for expected in [
        "When should &lt;distillation&gt; stop?",
        "beats labels only by 0.72 ± 0.38 points (3 seeds, p = 0.012)",
        "Frozen on 2026-11-24 09:25 UTC",
        "89.12 ±\u{202f}0.28",
        "+0.72 ±\u{202f}0.38",
        "0.012",
        "about 4 more seeds would settle it",
        "8 degrees of freedom",
        "15 runs, 16 segments, 272 epochs instead of 320",
        "Students of one teacher (seed 0)",
        "uncertain by ±0.62 points",
        "kd_stop_epoch = [0, 8, 20]",
        "Validation accuracy",
        "Agreement with the teacher",
        "body { color: black }",
    ] {
        let found = html.contains(expected) || html.contains(&expected.replace('"', "&quot;"));
        assert!(found, "{expected} is not in the page");
    }
    for forbidden in ["<script", "<distillation>", "href=\"/", "src=", "style=\"", "Stop</button>", "NaN"] {
        assert!(!html.contains(forbidden), "{forbidden} is in the page");
    }
    assert!(html.matches("<path").count() > 20, "lines and bands are drawn on the server");
}

#[test]
fn a_study_that_just_began_says_what_is_missing() {
    let mut report = report();
    for summary in &mut report.comparison.arms {
        summary.by_seed = vec![None; 3];
        summary.best_by_seed = vec![None; 3];
        (summary.mean, summary.interval, summary.best_mean, summary.difference, summary.n) =
            (None, None, None, None, 0);
    }
    report.curves.clear();
    report.comparison.answer = "Still training: 0 of 15 runs are done".into();
    report.progress.state = State::Training;
    (report.conflicts, report.confusion) = (Vec::new(), None);
    let html = snapshot_html(&Snapshot { version: Snapshot::VERSION, frozen_at: 0, report }, "");
    assert!(!html.contains("closer"), "nothing of an arm was measured");
    for expected in [
        "Still training: 0 of 15 runs are done",
        "No run is finished yet",
        "No epoch of a student is finished yet",
        "0 of 3",
    ] {
        assert!(html.contains(expected), "{expected} is not in the page");
    }
}

/// As [`report`], with labels only and other arms.
fn with_arms(labels: &[&str], stop: impl Fn(u32) -> u32) -> Report {
    let mut report = report();
    report.arms.truncate(1);
    report.comparison.arms.truncate(1);
    (report.conflicts, report.confusion) = (Vec::new(), None);
    for (label, rank) in labels.iter().zip(0..) {
        let arm = arm(label, stop(rank), 20);
        report.comparison.arms.push(summary(rank as usize + 1, &arm, 88.5 + 0.2 * f64::from(rank % 4)));
        report.arms.push(arm);
    }
    for (_, series) in &mut report.curves {
        let last = series[0].points[19].mean;
        *series = report
            .arms
            .iter()
            .enumerate()
            .map(|(index, arm)| curve(index, &arm.label, None, last + 0.2 * index as f64, 20.0))
            .collect();
    }
    report
}

#[test]
fn arms_of_one_swept_quantity_share_a_ramp_and_others_are_told_apart() {
    let one_line = with_arms(&["until 4", "until 8", "until 12", "until 16", "until 20"], |rank| 4 * (rank + 1));
    let swept = sweep(&one_line.arms).unwrap();
    assert_eq!((swept.quantity, swept.lines.len()), (Quantity::KdStopEpoch, 1));
    assert_eq!(swept.lines[0].arms, [0, 1, 2, 3, 4, 5], "the line begins at labels only");
    let ramp = tints(&one_line.arms);
    assert_eq!(ramp[0], Tint::Labels);
    assert_eq!((ramp[1], ramp[5]), (Tint::Ramp(0), Tint::Ramp(Tint::RAMP_LAST)));

    let two_lines = report();
    let swept = sweep(&two_lines.arms).unwrap();
    let said: Vec<(&str, &[usize])> =
        swept.lines.iter().map(|line| (line.label.as_str(), line.arms.as_slice())).collect();
    assert_eq!(said, [("teacher stopped at 8", &[0, 1, 3][..]), ("teacher stopped at 20", &[0, 2, 4][..])]);
    // A line, a colour; along it shades, of which the last is drawn unbroken.
    let line = |category, shade, dash| Tint::Line { category, shade, dash };
    let last = Tint::SHADE_LAST;
    assert_eq!(
        tints(&two_lines.arms),
        [Tint::Labels, line(0, 0, 1), line(1, 0, 1), line(0, last, 0), line(1, last, 0)]
    );

    assert_eq!(sweep(&two_lines.arms[..2]), None, "two arms stand side by side");
}

/// A report of a study as it is planned, with made-up accuracies.
fn planned(dataset: &str, student: &str, teacher: &str, treatment: &str) -> Report {
    let text = format!(
        "title = \"What helps?\"\ndataset = \"{dataset}\"\nseeds = 3\n[student]\n{student}\n[teacher]\n{teacher}\n[treatment]\n{treatment}"
    );
    let study = Study::from_toml(&text).unwrap();
    let facts = DatasetFacts {
        dataset: study.dataset,
        checksum: "of the images".into(),
        classes: 10,
        channels: 3,
        image_size: 32,
        train: 45_000,
        validation: 5_000,
        test: 10_000,
    };
    let plan = Plan::new(&study, &facts, Numerics::CpuF32).unwrap();
    let mut report = report();
    let mean = |index: usize| 91.2 + 0.35 * (index * 5 % 7) as f64;
    report.comparison.arms = plan.arms.iter().enumerate().map(|(i, arm)| summary(i, arm, mean(i))).collect();
    for (_, series) in &mut report.curves {
        let last = series[0].points[19].mean;
        let arms = plan.arms.iter().enumerate();
        *series = arms.map(|(i, arm)| curve(i, &arm.label, None, last + 0.2 * i as f64, 20.0)).collect();
    }
    let conflicts = (0..plan.arms.len()).map(|arm| conflict(arm, 20)).collect();
    Report { study, arms: plan.arms, runs: plan.runs.len() as u64, conflicts, confusion: None, ..report }
}

pub fn page(report: &Report) -> String {
    snapshot_html(&Snapshot { version: Snapshot::VERSION, frozen_at: 0, report: report.clone() }, "")
}

const THREE_STUDENTS: &str = "architecture = [\"wrn-10-1\", \"wrn-16-1\", \"wrn-22-1\"]\nepochs = 20";
const ONE_STUDENT: &str = "architecture = \"wrn-10-1\"\nepochs = 20";
const ONE_TEACHER: &str = "architecture = \"wrn-16-2\"\nepochs = 20";

/// The page of a study that runs, or of a link, at an address.
fn page_at(report: &Report, metric: Metric, arm: Option<usize>) -> String {
    let curve = Curve::Picked { metric, arm, page: "/studies/7".into(), part: Part::Whole };
    Owner::new().with(|| report_view(report, &curve, None).to_html())
}

/// A panel of a page by its heading's id.
fn panel<'a>(html: &'a str, heading: &str) -> &'a str {
    let panel = html.split(&format!("id=\"{heading}\"")).nth(1).unwrap_or_else(|| panic!("no {heading} in {html}"));
    &panel[..panel.find("</section>").unwrap()]
}

#[test]
fn one_arm_is_looked_at_closely_and_another_is_a_plain_link_away() {
    let report = report();
    let html = page_at(&report, Metric::GradientCosine, None);
    let closer = panel(&html, "closer-heading");
    // The first that distils, beside its baseline; closed until somebody asks.
    for expected in [
        "One arm, closer",
        "Where the two losses conflict",
        "first convolution: −0.044 at epoch 20",
        ">group 3</span>",
        ">head</span>",
        "href=\"/studies/7?metric=gradient_cosine&amp;arm=2#closer\"",
        "aria-current=\"true\">KD until 8, teacher stopped at 8<",
        "labels only, 3 seeds",
        "KD until 8, teacher stopped at 8, 3 seeds",
        "&lt;Coat&gt;",
    ] {
        assert!(closer.contains(expected), "{expected} is not in {closer}");
    }
    assert!(closer.contains("<details class=\"confusions\">"), "{closer}");
    assert_eq!((closer.matches("<table").count(), closer.matches("class=\"zero\"").count()), (2, 2));
    assert!(!closer.contains("data-arm"), "groups of layers are no arms");
    let other = html.split("id=\"evidence-heading\"").nth(1).unwrap();
    assert!(other.contains("href=\"/studies/7?metric=validation_accuracy\""), "no arm is named before one is picked");

    let html = page_at(&report, Metric::ValidationAccuracy, Some(0));
    let closer = panel(&html, "closer-heading");
    assert!(
        closer.contains("aria-current=\"true\">labels only<") && closer.contains("<details open class=\"confusions\""),
        "{closer}"
    );
    assert_eq!(closer.matches("<table").count(), 1, "a baseline is compared with nobody");
    assert!(html.contains("href=\"/studies/7?metric=gradient_cosine&amp;arm=0\""), "the arm stays with another metric");
    assert!(panel(&page_at(&report, Metric::TestAccuracy, Some(99)), "closer-heading").contains("arm=1#closer"));
}

#[test]
fn cells_hold_shares_of_their_class_and_are_as_warm_as_those() {
    let html = page_at(&report(), Metric::ValidationAccuracy, Some(1));
    let closer = panel(&html, "closer-heading");
    let own = closer.split("<table").nth(2).unwrap();
    let cells: Vec<(&str, &str)> = own
        .split("<td class=\"")
        .skip(1)
        .map(|cell| (cell.split('"').next().unwrap(), cell.split('>').nth(1).unwrap().split('<').next().unwrap()))
        .collect();
    // The worst mistake, 300 of 3,000, is the warmest; one of none has no colour.
    let expected = [
        ("hit heat-5", "90.0"),
        ("miss heat-4", "8.0"),
        ("miss heat-2", "2.0"),
        ("miss heat-5", "10.0"),
        ("hit heat-5", "90.0"),
        ("miss heat-0", "0"),
        ("miss heat-1", "0.2"),
        ("miss heat-0", "0"),
        ("hit heat-5", "99.8"),
    ];
    assert_eq!(cells, expected);
}

#[test]
fn a_page_without_links_shows_every_arm_closely() {
    let html = page(&report());
    let closer = panel(&html, "closer-heading");
    assert_eq!(closer.matches("Where the two losses conflict").count(), 5);
    assert_eq!(closer.matches("<table").count(), 1 + 2 * 4);
    assert!(closer.contains("The arms, closer") && !closer.contains("<nav") && !closer.contains("href=\"/"));
    for metric in ["Cosine of the two gradients", "Calibration error on validation", "over 15 bins of confidence"] {
        assert!(html.contains(metric), "{metric}");
    }
}

/// The lines of a sweep: what is said of each, and its arms by their labels.
fn lines(report: &Report) -> Vec<(String, Vec<&str>)> {
    let sweep = sweep(&report.arms).unwrap();
    let labels = |arms: &[usize]| arms.iter().map(|arm| report.arms[*arm].label.as_str()).collect();
    sweep.lines.iter().map(|line| (line.label.clone(), labels(&line.arms))).collect()
}

#[test]
fn students_from_labels_alone_and_distilled_ones_are_two_lines() {
    let report = planned("fashion-mnist-12k", THREE_STUDENTS, ONE_TEACHER, "kd_stop_epoch = [0, 20]");
    let students = ["wrn-10-1", "wrn-16-1", "wrn-22-1"];
    let said = lines(&report);
    assert_eq!(sweep(&report.arms).unwrap().quantity, Quantity::Student);
    assert_eq!(said.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["labels only", "distilled"]);
    for (_, arms) in &said {
        assert!(
            arms.iter().zip(students).all(|(arm, student)| arm.starts_with(student)) && arms.len() == 3,
            "{arms:?}"
        );
    }
    assert_eq!(ruled(&report.arms, sweep(&report.arms).as_ref()), [0usize; 0], "each has another baseline, on a line");

    let epochs = "architecture = \"wrn-10-1\"\nepochs = [10, 20, 40]";
    let report = planned("fashion-mnist-12k", epochs, ONE_TEACHER, "kd_weight = [0.0, 0.9]\ntemperature = [4.0, 16.0]");
    assert_eq!(sweep(&report.arms).unwrap().quantity, Quantity::StudentEpochs, "no stop before the end is a choice");
    let said: Vec<String> = lines(&report).into_iter().map(|it| it.0).collect();
    assert_eq!(said, ["labels only", "T 4", "T 16"]);
}

#[test]
fn methods_are_lines_and_what_each_has_by_itself_is_no_choice() {
    let of = |treatment: &str| planned("fashion-mnist-12k", ONE_STUDENT, ONE_TEACHER, treatment);
    // Three temperatures, each its method's own.
    let methods = "method = [\"kd\", \"standardised-kd\", \"dist\"]";
    assert_eq!(sweep(&of(methods).arms), None);
    let stops = of(&format!("{methods}\nkd_stop_epoch = [0, 8, 20]"));
    let said = lines(&stops);
    let expected = ["KD", "standardised KD", "DIST"].map(|method| {
        (method.to_owned(), vec!["labels only".to_owned(), format!("{method} until 8"), format!("{method} to the end")])
    });
    assert_eq!(said.len(), 3);
    for ((line, arms), (method, labels)) in said.iter().zip(&expected) {
        assert_eq!((line, arms), (method, &labels.iter().map(String::as_str).collect()));
    }

    let temperatures = of("method = [\"kd\", \"dist\", \"at\"]\ntemperature = [1, 4, 16]");
    let swept = sweep(&temperatures.arms).unwrap();
    assert_eq!((swept.quantity, &swept.beside), (Quantity::Number(Number::Temperature), &vec![6]));
    assert!(page(&temperatures).contains(">other</text>"));

    let generations = of("generations = 3\nchain = [\"\", \"wrn-16-1\"]");
    assert_eq!(sweep(&generations.arms).unwrap().quantity, Quantity::Generation);
    assert_eq!(lines(&generations).into_iter().map(|it| it.0).collect::<Vec<_>>(), ["no chain", "through wrn-16-1"]);
}

#[test]
fn labels_alone_stand_beside_an_axis_on_which_they_have_no_value() {
    let treatment = "temperature = [1.0, 4.0, 16.0]\nkd_stop_epoch = [0, 20]";
    let one = planned("fashion-mnist-12k", ONE_STUDENT, ONE_TEACHER, treatment);
    let swept = sweep(&one.arms).unwrap();
    assert_eq!(
        (swept.quantity, swept.beside.clone(), swept.lines.len()),
        (Quantity::Number(Number::Temperature), vec![0], 1)
    );
    // In the picture of accuracies.
    let picture = |report: &Report| page(report).split("id=\"mimicry\"").next().unwrap().to_owned();
    let html = picture(&one);
    // The mark is drawn with its interval and its dots, as any other.
    assert_eq!(html.matches("class=\"interval\"").count(), 4);
    assert!(html.contains(">labels</text>") && html.contains(">only</text>"));

    let two_students = "architecture = [\"wrn-10-1\", \"wrn-16-1\"]\nepochs = 20";
    let two = planned("fashion-mnist-12k", two_students, ONE_TEACHER, treatment);
    let swept = sweep(&two.arms).unwrap();
    assert_eq!((swept.beside.len(), swept.lines.len()), (2, 2));
    let html = picture(&two);
    assert_eq!(html.matches("class=\"rule\"").count(), 2, "a rule for each baseline");
    assert_eq!(html.matches("class=\"interval\"").count(), 8);
    assert!(html.contains("Dashed: the baselines"));
}

#[test]
fn a_stop_that_nobody_chose_is_not_on_the_axis() {
    let teachers = "architecture = \"wrn-16-3\"\nepochs = [35, 50, 65, 80, 200]";
    let report = planned("fashion-mnist-12k", ONE_STUDENT, teachers, "kd_stop_epoch = [0, 20]");
    assert_eq!(sweep(&report.arms).unwrap().quantity, Quantity::TeacherEpochs);
    let treatment = "teacher_stop_epoch = [35, 30, 20, 10, 5]";
    let report = planned("fashion-mnist-12k", ONE_STUDENT, teachers.replace(", 200", "").as_str(), treatment);
    assert_eq!(sweep(&report.arms).unwrap().quantity, Quantity::TeacherStopEpoch);
    let treatment = "temperature = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]";
    let report = planned("fashion-mnist-12k", ONE_STUDENT, teachers, treatment);
    assert_eq!(lines(&report)[0].0, "teacher’s epochs 35", "said once");
}

#[test]
fn the_published_points_stand_hollow_in_the_same_picture_and_in_no_average() {
    let student = "architecture = \"wrn-16-1\"\nepochs = 60";
    let teachers = "architecture = \"wrn-16-3\"\nepochs = [35, 50, 65, 80, 200]";
    let of = |dataset| page(&planned(dataset, student, teachers, "kd_stop_epoch = [0, 60]"));
    let html = of("cifar-10");
    assert_eq!(html.matches("r=\"4\" class=\"published\"").count(), 1, "labels alone, of a table");
    assert_eq!(
        html.matches("height=\"7\" transform=\"translate(-3.5 -3.5)\" class=\"published\"").count(),
        5,
        "of figures"
    );
    assert_eq!(html.matches("class=\"published\"").count(), 8, "intervals where there is a deviation");
    for expected in
        ["published: 92.58 % (digitised)", "published: 91.25 ±\u{202f}0.16 % (exact)", "in none of our averages"]
    {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(!of("fashion-mnist-12k").contains("ublished"));
}

#[test]
fn whether_students_can_mimic_stands_in_a_picture_of_its_own_and_first_where_that_is_asked() {
    let teachers = "architecture = [\"wrn-10-1\", \"wrn-10-2\", \"wrn-10-4\"]\nepochs = 20";
    let mut report = planned("fashion-mnist-12k", ONE_STUDENT, teachers, "kd_weight = 1.0");
    let places = |html: &str| {
        ["mimicry-heading\"", "picture-heading\""].map(|heading| html.find(&format!("id=\"{heading}")).unwrap())
    };
    let html = page(&report);
    let [mimicry, picture] = places(&html);
    assert!(picture < mimicry && html.contains("KD loss, T²·KL"), "{picture} {mimicry}");
    assert!(picture_svg(&report).contains("Final test accuracy by arm"));

    report.study.title = Card::of_slug("mimicking").unwrap().question.into();
    let [mimicry, picture] = places(&page(&report));
    assert!(mimicry < picture, "{picture} {mimicry}");
    assert!(picture_svg(&report).contains("KD loss that is left, by arm"));
    let said = Owner::new().with(|| answer(&report).to_html());
    assert!(said.contains("Left of the KD loss on held-out images: ") && said.contains("wrn-10-4"), "{said}");

    // One arm that distils has nobody to be compared with.
    assert!(
        !page(&planned("fashion-mnist-12k", ONE_STUDENT, ONE_TEACHER, "kd_stop_epoch = [0, 20]")).contains("mimicry")
    );
}

#[test]
fn without_validation_the_first_curve_that_there_is_is_shown() {
    use super::evidence::shown;
    let offered = [Metric::TestAccuracy, Metric::TrainAccuracy];
    assert_eq!(shown(Metric::ValidationAccuracy, &offered), Metric::TestAccuracy);
    assert_eq!(shown(Metric::TrainAccuracy, &offered), Metric::TrainAccuracy);
}

#[test]
fn what_failed_stands_first_with_arm_and_seed_and_what_was_noted_with_the_training() {
    let mut report = report();
    let incident = |teacher, runs: &[(usize, u32)], happened| Incident {
        architecture: Architecture::WideResNet { depth: 16, width: 2 },
        seed: Seed(0),
        teacher,
        runs: runs.iter().map(|(arm, seed)| (*arm, Seed(*seed))).collect(),
        happened,
    };
    let failed = |epoch, reason: &str| {
        Happened::Failed(Failure { epoch: Epoch(epoch), reason: reason.into(), may_succeed_again: false })
    };
    let noted = Happened::Noted("checkpoint of epoch 7 is damaged; going on from epoch 6".into());
    report.incidents = vec![
        incident(true, &[(1, 0), (1, 2), (2, 1)], failed(0, "the disk is full.")),
        incident(false, &[(0, 1)], failed(3, "the loss is not finite.")),
        incident(false, &[(3, 0)], noted),
    ];
    let html = page(&report);
    for expected in [
        "<strong>Teacher wrn-16-2, seed 0</strong>",
        "in the first epoch: the disk is full.",
        "KD until 8, teacher stopped at 8, seeds 0 and 2; KD until 8, teacher stopped at 20, seed 1",
        "<strong>labels only, seed 1</strong>",
        "after 3 epochs: the loss is not finite.",
        "KD to the end, teacher stopped at 8, seed 0: checkpoint of epoch 7 is damaged; going on from epoch 6",
    ] {
        assert!(html.contains(expected), "{expected} is not in the page");
    }
    let place = |text: &str| html.find(text).unwrap();
    assert!(place("What failed") < place("Final test accuracy"));
    assert!(place("How this was trained") < place("checkpoint of epoch 7"));

    report.incidents = vec![incident(true, &[], failed(3, "gone."))];
    report.incidents[0].runs = (0..5).flat_map(|arm| (0..3).map(move |seed| (arm, Seed(seed)))).collect();
    assert!(page(&report).contains("Cannot go on without it: all 15 runs."));
    report.incidents[0].runs.pop();
    assert!(page(&report).contains("; 5 more runs."));
}

#[test]
fn n_stands_beside_each_mean_and_a_long_label_leaves_the_axis() {
    let html = page(&report());
    assert_eq!(html.matches("<span class=\"behind\">n = 3</span>").count(), 5, "in the table");
    assert!(html.contains("Behind each mean: n = 3."));
    let two = "architecture = [\"wrn-10-1\", \"wrn-16-1\"]\nepochs = 20";
    let treatment = "kd_stop_epoch = [0, 4, 8, 12]\nteacher_stop_epoch = [8, 20]\ntemperature = [1.0, 16.0]";
    let many = planned("fashion-mnist-12k", two, ONE_TEACHER, treatment);
    assert!(lines(&many).iter().any(|(label, _)| label.len() > 34));
    let html = page(&many);
    assert!(html.contains("chart rows") && !html.contains("chart swept"));
    assert!(html.contains("(n = 3)"), "beside each mean of the picture");
}

#[test]
fn many_arms_are_told_apart_without_bands_over_each_other() {
    let treatment = "kd_stop_epoch = [0, 1, 2, 4]\nteacher_stop_epoch = [1, 2]\ntemperature = [1.0, 2.0, 4.0, 8.0]";
    let many = planned("fashion-mnist-12k", ONE_STUDENT, ONE_TEACHER, treatment);
    assert_eq!(many.arms.len(), 25);
    let mut looks: Vec<String> = tints(&many.arms).into_iter().map(Tint::class).collect();
    looks.sort();
    looks.dedup();
    assert_eq!(looks.len(), 25, "each arm has a look of its own");
    let html = page(&many);
    assert!(html.contains("curves many") && html.contains("Of so many arms no bands are shown."));
    assert!(html.contains("class=\"arms\"") && !html.contains("class=\"arms stacked\""));
    let swept = html.split("chart swept").nth(1).unwrap();
    let swept = &swept[..swept.find("chart rows").unwrap()];
    assert_eq!((swept.matches("class=\"reach\"").count(), swept.matches("class=\"leader\"").count()), (8, 9));
    let places = swept.split("class=\"through-means\" x1=\"").skip(1);
    let begin: Vec<f64> = places.map(|rest| rest[..rest.find('%').unwrap()].parse().unwrap()).collect();
    assert!(begin.iter().all(|share| (0.0..100.0).contains(share)), "no line leaves the plot: {begin:?}");
}

#[test]
fn a_rule_that_is_not_drawn_is_not_explained() {
    let mut report = report();
    assert!(page(&report).contains("Dashed: the baseline."));
    report.comparison.arms[0].mean = None;
    assert!(!page(&report).contains("Dashed"));
}

/// What a browser that has the page is answered for a part of it.
fn part(report: &Report, part: Part) -> String {
    let curve = Curve::Picked { metric: Metric::ValidationAccuracy, arm: None, page: "/examples/one".into(), part };
    Owner::new().with(|| report_view(report, &curve, None).to_html())
}

#[test]
fn whoever_has_the_page_gets_what_becomes_another_alone() {
    let report = report();
    let (drawn, closer, links) = ("class=\"metric-explained\"", "id=\"conflict-whole-title\"", "class=\"metrics\"");
    for (asked, has_curves, has_arm) in [(Part::Evidence, true, false), (Part::Closer, false, true)] {
        let html = part(&report, asked);
        assert_eq!(html.contains("id=\"curves-whole-title\""), has_curves, "{html}");
        assert_eq!((html.contains(closer), html.contains(drawn)), (has_arm, true), "{html}");
        assert!(html.contains(links) && !html.contains("arms-heading") && !html.contains("picture-heading"), "{html}");
    }
    assert!(part(&report, Part::Whole).contains("arms-heading"));
    for (text, expected) in [
        ("evidence", Part::Evidence),
        ("closer", Part::Closer),
        ("band-12", Part::Band(12)),
        ("band-", Part::Whole),
        ("band-x", Part::Whole),
        ("", Part::Whole),
    ] {
        assert_eq!(Part::of_address(text), expected, "{text}");
    }
}

/// Where bands are too many to be told apart they would be half of the page, and nobody would see them.
#[test]
fn of_too_many_arms_a_band_is_answered_once_it_is_asked_for() {
    let treatment = "kd_stop_epoch = [0, 1, 2, 4]\nteacher_stop_epoch = [1, 2]\ntemperature = [1.0, 2.0, 4.0, 8.0]";
    let many = planned("fashion-mnist-12k", ONE_STUDENT, ONE_TEACHER, treatment);
    let bands = |html: &str| html.matches("class=\"band ").count();
    let whole = part(&many, Part::Whole);
    assert_eq!((bands(&whole), bands(&page(&many))), (0, 0));
    // Both charts, where there is a close-up.
    let places = panel(&whole, "evidence-heading").matches("class=\"bands\"").count();
    let one = part(&many, Part::Band(7));
    assert_eq!((bands(&one), one.matches("class=\"bands\"").count()), (places, places));
    assert_eq!(one.matches("data-arm=\"7\"").count(), places, "{one}");
    assert!(!one.contains("class=\"line\"") && !one.contains("legend"), "{one}");
    assert_eq!(bands(&part(&many, Part::Band(25))), 0, "there is no such arm");
    let few = report();
    assert!(bands(&part(&few, Part::Whole)) > 0);
}

#[test]
fn ensembles_and_a_search_stand_on_the_page_where_there_are_some() {
    let mut report = report();
    let without = page(&report);
    assert!(!without.contains("ensembles-heading") && !without.contains("search-heading"));
    let point =
        |members, mean| EnsemblePoint { members, accuracies: vec![mean - 0.1, mean + 0.1], mean, interval: None };
    let line = |label: &str, members, mean| EnsembleLine {
        label: label.into(),
        members,
        points: vec![point(1, mean), point(2, mean + 0.5)],
    };
    let lines = vec![line("generation 2", Members::Generations, 88.0), line("labels only", Members::Seeds, 87.0)];
    report.ensembles = Some(Ensembles { lines });
    let scored = |arm, accuracy, promoted| Scored { arm, accuracy, cross_entropy: Some(0.4), promoted };
    let round = |arms, epochs, seeds| Round { arms, epochs: Epoch(epochs), seeds };
    report.search = Some(SearchReport {
        arms: 4,
        budget_epochs: 200,
        spent_epochs: 61,
        rounds: vec![
            RoundReport {
                round: round(4, 4, 1),
                // Two were trained alike, and take the one place together.
                scores: vec![
                    scored(2, Some(85.5), true),
                    scored(4, Some(85.5), true),
                    scored(1, Some(85.25), false),
                    scored(3, None, false),
                ],
            },
            RoundReport { round: round(1, 20, 3), scores: Vec::new() },
        ],
    });
    report.progress.state = State::Training;
    let html = page(&report);
    for expected in [
        "generation 2, 2 generations: 88.50",
        "labels only, 1 seed: 87.00",
        "61 epochs of at most 200 are spent",
        "Round 1: 4 arms for 4 epochs with 1 seed",
        "dropped: others were better",
        "dropped: a run failed",
        "Round 2: 2 arms for 20 epochs with 3 seeds",
        "are one training and take one place together",
        "In training: what is dropped",
    ] {
        assert!(html.contains(expected), "{expected} is not in the page");
    }
    for (state, said) in [
        (State::Waiting, "Not in training now: what"),
        (State::Stopped, "Stopped: what"),
        (State::Failed, "Left unfinished by another version of this program."),
    ] {
        report.progress.state = state;
        assert!(page(&report).contains(said), "{said} is not in the page");
    }
}

/// What was dropped says when, and what is not asked for yet waits.
#[test]
fn arms_of_a_search_say_how_they_stand() {
    let mut report = report();
    let scored = |arm, promoted| Scored { arm, accuracy: Some(85.0), cross_entropy: Some(0.4), promoted };
    let scores = vec![scored(1, true), scored(2, false), scored(3, false), scored(4, false)];
    let round = Round { arms: 4, epochs: Epoch(4), seeds: 1 };
    let rounds = vec![RoundReport { round, scores }];
    report.search = Some(SearchReport { arms: 4, budget_epochs: 200, spent_epochs: 61, rounds });
    report.progress.state = State::Training;
    report.progress.runs.retain(|run| run.arm != 0);
    let labels_only = &mut report.comparison.arms[0];
    (labels_only.runs, labels_only.seeds) = (Vec::new(), Vec::new());
    (labels_only.by_seed, labels_only.best_by_seed) = (Vec::new(), Vec::new());
    let html = page(&report);
    let table = html.split("Table of arms").nth(1).unwrap();
    let table = &table[..table.find("</table>").unwrap()];
    assert_eq!(table.matches("dropped in round 1").count(), 3);
    assert_eq!((table.matches("state-waiting").count(), table.matches("state-finished").count()), (1, 1));
    report.progress.state = State::Stopped;
    assert!(page(&report).contains("state-stopped"));
}
