//! Everything that was measured, per run and epoch, to be taken along.

use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write};
use study::{
    Arm, Cosine, EpochMetrics, Facts, Fidelity, Leg, Observer, Plan, Run, Scores, Segment, SegmentKey, TeacherTraining,
    metrics::run_metrics,
};

const COLUMNS: &str = "run,arm,label,student,teacher,teacher_stop_epoch,teacher_checkpoint,seed,epoch,learning_rate,\
train_cross_entropy,train_accuracy,train_clean_cross_entropy,train_clean_accuracy,\
validation_cross_entropy,validation_accuracy,validation_calibration_error,test_cross_entropy,test_accuracy,test_calibration_error,\
temperature,kd_loss_train,kd_loss_validation,kd_loss_test,agreement_train,agreement_validation,agreement_test,gradient_cosine,\
gradient_cosine_by_group,seconds,images_per_second";
/// How many those are.
const CELLS: usize = 31;

/// In which unit each kind of number stands, in the table as in the object.
fn units() -> Value {
    json!({
        "accuracy": "share of images, 0 to 1",
        "agreement": "share of images, 0 to 1, on which student and teacher name the same class",
        "calibration_error": "expected calibration error on held-out images in 15 bins, 0 to 1, in steps of 0.0001",
        "cross_entropy": "nats, mean over images",
        "gradient_cosine": "of the gradients of cross-entropy and of the whole loss that is learnt from the teacher, or of the KD \
                            loss where nothing is learnt from it, on 128 training images after the epoch, -1 to 1 in steps of 0.002: \
                            of all parameters, and by group of layers from the images on (the first convolution, each group of \
                            blocks, what follows them), in the table with spaces between and nan where a gradient is zero",
        "kd_loss": "T²·KL in nats, mean over images, without its weight",
        "seconds": "wall time of the epoch with its evaluation",
        "images_per_second": "training alone",
    })
}

/// One line a run, epoch and teacher that it was measured against there: a run that is measured against none has one line an epoch,
/// one from labels alone as many as its study has teachers and temperatures. Then the teachers' own trainings, whose `run` is the
/// name under which their last weights are exported. An empty cell was not measured. For the units see [`units`].
pub fn csv(plan: &Plan, facts: &Facts) -> String {
    let mut text = format!("{COLUMNS}\n");
    let segments = plan.by_key();
    let mut write = |line: [String; CELLS]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.join(","));
    };
    for run in &plan.runs {
        let Some(arm) = plan.arms.get(run.arm) else { continue };
        let names = names_of_run(run, arm);
        let of_leg = |leg: &Leg| segments.get(&leg.segment).map_or_else(Vec::new, |segment| segment.measured_against());
        let by_leg: Vec<Vec<Observer>> = run.legs.iter().map(of_leg).collect();
        for metrics in run_metrics(run, facts) {
            let leg = run.legs.iter().position(|leg| leg.from < metrics.epoch && metrics.epoch <= leg.until);
            let observers = leg.map_or(&[][..], |leg| &by_leg[leg][..]);
            let measured = observers.iter().filter(|observer| metrics.fidelity_to(observer).is_some());
            let mut measured: Vec<Option<&Observer>> = measured.map(Some).collect();
            if measured.is_empty() {
                // Its own teacher is named all the same.
                measured.push(observers.first().filter(|_| arm.distillation.is_some()));
            }
            measured.into_iter().for_each(|observer| write(line(&names, metrics, observer, &segments)));
        }
    }
    for teacher in plan.teachers() {
        let names = names_of_teacher(&teacher, facts);
        teacher.epochs(facts).for_each(|metrics| write(line(&names, metrics, None, &segments)));
    }
    text
}

/// The same as JSON: each run with every teacher that it was measured against, and the teachers, by whose `segment` those are
/// named there.
pub fn object(plan: &Plan, facts: &Facts) -> Value {
    let runs = plan.runs.iter().filter_map(|run| {
        let arm = plan.arms.get(run.arm)?;
        Some(json!({
            "run": run.id,
            "arm": run.arm,
            "label": arm.label,
            "seed": run.seed,
            "epochs": run_metrics(run, facts),
        }))
    });
    let teachers = plan.teachers().into_iter().map(|teacher| {
        let stops = teacher.stops().into_iter();
        json!({
            "name": teacher.name(facts),
            "architecture": teacher.segment.architecture,
            "seed": teacher.segment.seed,
            "segment": teacher.segment.key,
            "checkpoints": stops.map(|stop| teacher.checkpoint(stop).to_string()).collect::<Vec<_>>(),
            "epochs": teacher.epochs(facts).collect::<Vec<_>>(),
        })
    });
    json!({ "units": units(), "runs": runs.collect::<Vec<_>>(), "teachers": teachers.collect::<Vec<_>>() })
}

/// What is trained: `run`, `arm`, `label`, `student` and `seed`.
type Names = [String; 5];

fn names_of_run(run: &Run, arm: &Arm) -> Names {
    let student = arm.student.to_string();
    [run.id.to_string(), run.arm.to_string(), text_cell(&arm.label), student, run.seed.to_string()]
}

fn names_of_teacher(teacher: &TeacherTraining<'_>, facts: &Facts) -> Names {
    let segment = teacher.segment;
    let last = teacher.checkpoint(segment.until);
    let (network, seed) = (segment.architecture.to_string(), segment.seed.to_string());
    [last.to_string(), String::new(), text_cell(&teacher.name(facts)), network, seed]
}

fn line(
    [run, arm, label, student, seed]: &Names,
    metrics: &EpochMetrics,
    observer: Option<&Observer>,
    segments: &BTreeMap<&SegmentKey, &Segment>,
) -> [String; CELLS] {
    let cross_entropy = |scores: Option<Scores>| number(scores.map(|scores| scores.cross_entropy));
    let accuracy = |scores: Option<Scores>| number(scores.map(|scores| scores.accuracy));
    let calibration_error = |scores: Option<Scores>| number(scores.and_then(|scores| scores.calibration_error));
    let fidelity = observer.and_then(|observer| metrics.fidelity_to(observer));
    let measured = |read: fn(&Fidelity) -> Option<f64>| number(fidelity.and_then(read));
    let cosine = fidelity.and_then(|fidelity| fidelity.gradient_cosine.as_ref());
    let teacher = observer.map(|observer| &observer.teacher);
    let network = teacher.and_then(|teacher| segments.get(&teacher.segment)).map(|segment| segment.architecture);
    [
        run.clone(),
        arm.clone(),
        label.clone(),
        student.clone(),
        network.map_or(String::new(), |network| network.to_string()),
        teacher.map_or(String::new(), |teacher| teacher.epoch.to_string()),
        teacher.map_or(String::new(), |teacher| teacher.to_string()),
        seed.clone(),
        metrics.epoch.to_string(),
        metrics.learning_rate.to_string(),
        metrics.train.cross_entropy.to_string(),
        metrics.train.accuracy.to_string(),
        cross_entropy(metrics.train_clean),
        accuracy(metrics.train_clean),
        cross_entropy(metrics.validation),
        accuracy(metrics.validation),
        calibration_error(metrics.validation),
        cross_entropy(metrics.test),
        accuracy(metrics.test),
        calibration_error(metrics.test),
        number(observer.map(|observer| observer.temperature)),
        measured(|fidelity| fidelity.kd_loss_train),
        measured(|fidelity| fidelity.kd_loss_validation),
        measured(|fidelity| fidelity.kd_loss_test),
        measured(|fidelity| fidelity.agreement_train),
        measured(|fidelity| fidelity.agreement_validation),
        measured(|fidelity| fidelity.agreement_test),
        number(cosine.and_then(|cosine| cosine.all).map(f64::from)),
        cosine.map_or(String::new(), |cosine| by_group(&cosine.groups)),
        metrics.seconds.to_string(),
        metrics.images_per_second.to_string(),
    ]
}

fn by_group(cosines: &[Option<Cosine>]) -> String {
    let written = cosines.iter().map(|cosine| cosine.map_or("nan".to_owned(), |cosine| f64::from(cosine).to_string()));
    written.collect::<Vec<_>>().join(" ")
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Text as a CSV cell. What a spreadsheet would take for a formula gets an apostrophe before it.
fn text_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::{Dataset, DatasetFacts, GradientCosine, Numerics, Study};

    #[test]
    fn every_teacher_that_a_run_is_measured_against_has_a_line_and_teachers_have_their_own() {
        let text = r#"
            title = "Which temperature?"
            dataset = "mnist"
            seeds = 1
            student = { architecture = "wrn-10-1", epochs = 1 }
            teacher = { architecture = "wrn-10-1", epochs = 2 }
            treatment = { temperature = [16, 4], kd_stop_epoch = [0, 1] }
        "#;
        let dataset = DatasetFacts {
            dataset: Dataset::Mnist,
            checksum: String::new(),
            classes: 10,
            channels: 1,
            image_size: 28,
            train: 55_000,
            validation: 5_000,
            test: 10_000,
        };
        let plan = Plan::new(&Study::from_toml(text).expect("a study"), &dataset, Numerics::CpuF32).expect("a plan");
        let mut facts = Facts::new();
        for segment in &plan.segments {
            let mut observers = segment.measured_against();
            // As they are merged for training: by temperature, rising.
            observers.sort_by(|one, other| one.temperature.total_cmp(&other.temperature));
            let groups = vec![Some(0.25.into()), None, Some((-0.2).into())];
            let cosine = GradientCosine { all: Some((-0.1).into()), groups };
            let fidelity = observers.into_iter().map(|observer| Fidelity {
                kd_loss_validation: Some(observer.temperature / 100.0),
                kd_loss_test: Some(observer.temperature / 50.0),
                gradient_cosine: Some(cosine.clone()),
                ..Fidelity::to(observer)
            });
            let scores = Scores { cross_entropy: 1.0, accuracy: 0.5, calibration_error: Some(0.125) };
            let metrics = EpochMetrics {
                epoch: segment.until,
                learning_rate: 0.1,
                train: scores,
                train_clean: None,
                validation: Some(scores),
                test: None,
                fidelity: fidelity.collect(),
                seconds: 1.0,
                images_per_second: 1.0,
            };
            facts.entry(segment.key.clone()).or_default().metrics.push(metrics);
        }
        let csv = csv(&plan, &facts);
        // Counted from the end: a label may hold commas.
        let cells = csv.lines().map(|line| {
            let cells: Vec<&str> = line.rsplit(',').collect();
            [26, 14, 10, 8, 7, 3, 2].map(|place| cells[place]).join(",")
        });
        let expected = [
            "teacher,validation_calibration_error,temperature,kd_loss_validation,kd_loss_test,gradient_cosine,gradient_cosine_by_group",
            "wrn-10-1,0.125,16,0.16,0.32,-0.1,0.25 nan -0.2",
            "wrn-10-1,0.125,4,0.04,0.08,-0.1,0.25 nan -0.2",
            "wrn-10-1,0.125,16,0.16,0.32,-0.1,0.25 nan -0.2",
            "wrn-10-1,0.125,4,0.04,0.08,-0.1,0.25 nan -0.2",
            ",0.125,,,,,",
        ];
        assert_eq!(cells.collect::<Vec<_>>(), expected, "{csv}");

        let teacher = &plan.teachers()[0];
        let last = csv.lines().last().expect("the teacher's line");
        let checkpoint = teacher.checkpoint(teacher.segment.until);
        assert!(last.starts_with(&format!("{checkpoint},,\"teacher wrn-10-1, seed 0\",wrn-10-1,,,,0,2,")), "{last}");
        assert!(csv.lines().nth(1).expect("a run's line").contains(&format!(",wrn-10-1,2,{checkpoint},0,1,")), "{csv}");

        let object = object(&plan, &facts);
        let own = &object["teachers"][0];
        assert_eq!(own["name"], "teacher wrn-10-1, seed 0");
        assert_eq!(own["checkpoints"], json!([checkpoint.to_string()]));
        assert_eq!(own["epochs"][0]["train"]["accuracy"], 0.5);
        assert_eq!(object["runs"][0]["epochs"][0]["fidelity"][0]["teacher"]["segment"], own["segment"]);
        assert!(object["units"]["accuracy"].as_str().is_some_and(|unit| unit.contains("0 to 1")));
    }

    #[test]
    fn text_stays_text_in_a_spreadsheet() {
        for (text, cell) in [
            ("labels only", "labels only"),
            ("KD until 8, teacher stopped at 8", "\"KD until 8, teacher stopped at 8\""),
            ("say \"KD\"", "\"say \"\"KD\"\"\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum(a1)", "'@sum(a1)"),
            ("=a,b", "\"'=a,b\""),
        ] {
            assert_eq!(text_cell(text), cell);
        }
    }
}
