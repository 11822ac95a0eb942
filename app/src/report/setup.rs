//! What was trained on what, when, and how long it took: the plain words under a study's answer.

use crate::numbers;
use leptos::prelude::*;
use std::fmt::Display;
use study::{Chain, Choices, Distillation, Method, Number, Report, Study, TeacherNetwork, Treatment};

pub fn setup(report: &Report) -> impl IntoView + use<> {
    view! {
        <p class="setup-line">{what(report)}</p>
        {when(report).map(|when| view! { <p class="aside">{when}</p> })}
    }
}

/// "wrn-10-1 taught by wrn-16-2 · Fashion-MNIST, 12,000 images · KD, temperature 4, weight 0.9 · 20 epochs · 3 seeds".
pub(super) fn what(report: &Report) -> String {
    let study = &report.study;
    let students = one_of(&study.student.architecture);
    let taught = study.teacher.as_ref().zip(study.treatment.as_ref().filter(|it| it.distils()));
    let networks = match taught {
        Some((teacher, _)) => format!(
            "{students} taught by {}",
            listed(&teacher.architecture.0.iter().map(|network| called(network, report)).collect::<Vec<_>>())
        ),
        None => format!("{students} from labels alone"),
    };
    let images = match &report.images {
        Some(images) => {
            format!("{}, {} images", study.dataset.title(), numbers::count(u64::from(images.train)))
        }
        None => study.dataset.title(),
    };
    let parts = [
        Some(networks),
        Some(images),
        taught.map(|(_, treatment)| distillation(treatment)),
        Some(epochs(study)),
        Some(numbers::counted(u64::from(study.seeds), "seed")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// A teacher as its arms call it; where none is its, without a name.
fn called(network: &TeacherNetwork, report: &Report) -> String {
    let mut taught = report.arms.iter().filter_map(|arm| arm.distillation.as_ref());
    taught.find(|it| it.teacher == *network).map_or_else(|| network.label(None), Distillation::teacher_label)
}

fn distillation(treatment: &Treatment) -> String {
    let methods: Vec<String> = match treatment.method.0.as_slice() {
        [one] => vec![format!("{}, {}", one.label(), numbers_of(treatment, *one))],
        several => several.iter().map(|it| format!("{} ({})", it.label(), numbers_of(treatment, *it))).collect(),
    };
    let stops = |name: &str, stops: &Option<Choices<u32>>| stops.as_ref().map(|it| format!(", {name} {}", one_of(it)));
    let chains = treatment.chain.as_ref().map(|chains| {
        let said = |chain: &Chain| if chain.is_empty() { "no chain".to_owned() } else { format!("through {chain}") };
        format!(", {}", listed(&chains.0.iter().map(said).collect::<Vec<_>>()))
    });
    let generations = treatment.generations.filter(|it| *it > 1).map(|it| format!(", {it} generations"));
    let frozen = generations.as_ref().and_then(|_| stops("each stopped at", &treatment.generation_stop_epoch));
    let parts = [
        Some(listed(&methods)),
        stops("stopped at", &treatment.kd_stop_epoch),
        stops("by a teacher stopped at", &treatment.teacher_stop_epoch),
        chains,
        generations,
        frozen,
    ];
    parts.into_iter().flatten().collect()
}

/// "temperature 4, weight 0.9".
fn numbers_of(treatment: &Treatment, method: Method) -> String {
    let said = |(number, _): &(Number, f64)| {
        let values: Vec<String> = treatment.values(method, *number).iter().map(ToString::to_string).collect();
        let name = if *number == Number::KdWeight { "weight" } else { number.name() };
        format!("{name} {}", listed(&values))
    };
    method.numbers().iter().map(said).collect::<Vec<_>>().join(", ")
}

fn epochs(study: &Study) -> String {
    let students = &study.student.epochs;
    let counted = match students.0.as_slice() {
        [1] => "1 epoch".to_owned(),
        _ => format!("{} epochs", one_of(students)),
    };
    match &study.teacher {
        Some(teacher) if teacher.architecture.0.iter().all(|it| it.imported.is_some()) => counted,
        Some(teacher) if teacher.epochs != *students => {
            format!("{counted}, the teacher {}", one_of(&teacher.epochs))
        }
        _ => counted,
    }
}

/// "1, 4 or 16".
fn one_of<T: Display + Clone>(choices: &Choices<T>) -> String {
    listed(&choices.0.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn listed(words: &[String]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// "Started 2026-11-24 09:37 UTC. 272 epochs took 46 minutes of workers’ time." A shared comparison says when it was frozen beside it.
fn when(report: &Report) -> Option<String> {
    let started = report.started_at.map(|at| format!("Started {}.", numbers::moment(at)));
    let epochs = numbers::counted(report.progress.epochs_done, "epoch");
    let took = report
        .training_seconds
        .map(|seconds| format!("{epochs} took {} of training, summed over workers.", numbers::duration(seconds)));
    let said: Vec<String> = [started, took].into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(" "))
}

#[cfg(test)]
mod tests {
    use super::what;
    use crate::report::tests::{page, report};
    use study::{Choices, DatasetFacts, Report, TeacherNetwork};

    #[test]
    fn what_was_trained_is_said_in_plain_words_under_the_answer() {
        let mut report = report();
        let said = |report: &Report| {
            let html = page(report);
            let line = html.split("class=\"setup-line\">").nth(1).unwrap();
            line[..line.find("</p>").unwrap()].to_owned()
        };
        let stops = "stopped at 0, 8 or 20, by a teacher stopped at 8 or 20";
        let kd = format!("KD, temperature 4, weight 0.9, {stops} · 20 epochs · 3 seeds");
        assert_eq!(said(&report), format!("wrn-10-1 taught by wrn-16-2 · Fashion-MNIST · {kd}"));
        report.images = Some(DatasetFacts {
            dataset: report.study.dataset,
            checksum: "of the images".into(),
            classes: 10,
            channels: 1,
            image_size: 28,
            train: 12_000,
            validation: 0,
            test: 10_000,
        });
        (report.started_at, report.training_seconds) = (Some(1_795_512_345), Some(2_750.0));
        assert_eq!(said(&report), format!("wrn-10-1 taught by wrn-16-2 · Fashion-MNIST, 12,000 images · {kd}"));
        let html = page(&report);
        for expected in [
            "Started 2026-11-24 09:25 UTC. 272 epochs took 46 minutes of training",
            "No image was held out for validation: there is no validation curve",
        ] {
            assert!(html.contains(expected), "{expected} is not in the page");
        }
        let several =
            "method = [\"kd\", \"at\"]\nkd_weight = [0.5, 0.9]\nchain = [\"\", \"wrn-16-1\"]\ngenerations = 3";
        report.study.treatment = toml::from_str(several).unwrap();
        let methods = "KD (temperature 4, weight 0.5 or 0.9) or AT (attention weight 1000)";
        let line = format!(" · {methods}, no chain or through wrn-16-1, 3 generations · ");
        assert!(said(&report).contains(&line), "{}", said(&report));
        report.study.treatment = None;
        assert!(said(&report).starts_with("wrn-10-1 from labels alone · "));
    }

    #[test]
    fn a_teacher_from_elsewhere_is_called_by_its_name() {
        let mut report = report();
        let network: TeacherNetwork = "wrn-40-2 from 0123456789abcdef0123456789abcdef".parse().unwrap();
        report.study.teacher.as_mut().unwrap().architecture = Choices(vec![network]);
        assert!(what(&report).starts_with("wrn-10-1 taught by wrn-40-2 (imported 01234567) · "), "{}", what(&report));
        for it in report.arms.iter_mut().filter_map(|arm| arm.distillation.as_mut()) {
            (it.teacher, it.teacher_name) = (network, Some("mine".into()));
        }
        assert!(
            what(&report).starts_with("wrn-10-1 taught by wrn-40-2 “mine” (imported 01234567) · "),
            "{}",
            what(&report)
        );
    }
}
