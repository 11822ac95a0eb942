//! The teachers: how far each is, how good it is where it teaches, and its own curve.

use crate::{
    chart::{curves::other_curves, swept::Tint},
    numbers,
};
use leptos::prelude::*;
use study::{Metric, Report, Series, TeacherSummary};

/// What trains before any student can: a line for the top of the page.
pub fn teachers_in_training(report: &Report) -> Option<String> {
    let training: Vec<&TeacherSummary> = report.teachers.iter().filter(|teacher| teacher.training).collect();
    let (first, more) = training.split_first()?;
    let others = match more.len() {
        0 => String::new(),
        more => format!(", and {} beside it", numbers::counted(more as u64, "teacher")),
    };
    Some(format!("Teacher {} trains: {}{others}.", first.label, done(first)))
}

fn done(teacher: &TeacherSummary) -> String {
    format!("{} of {}", teacher.epochs_done, numbers::counted(u64::from(teacher.epochs_total.0), "epoch"))
}

pub fn teachers(report: &Report) -> Option<impl IntoView + use<>> {
    if report.teachers.is_empty() {
        return None;
    }
    let series: Vec<Series> = report.teachers.iter().map(|teacher| teacher.validation.clone()).collect();
    let tints: Vec<Tint> = (0..series.len()).map(|index| Tint::Category(index % Tint::CATEGORIES)).collect();
    let items = report.teachers.iter().zip(&tints).map(|(teacher, tint)| {
        view! {
            <li class=tint.class()>
                <span class="swatch"></span>
                <span><strong>{teacher.label.clone()}</strong>{format!(": {}", said(teacher))}</span>
            </li>
        }
    });
    let items = items.collect_view();
    let has_curve = series.iter().any(|series| !series.points.is_empty());
    let heading = if report.teachers.len() == 1 { "The teacher" } else { "The teachers" };
    Some(view! {
        <section class="panel teachers" aria-labelledby="teachers-heading">
            <h2 id="teachers-heading">{heading}</h2>
            <ul class="teacher-list">{items}</ul>
            {has_curve.then(|| other_curves(Metric::ValidationAccuracy, &series, &tints, "teacher-curves"))}
        </section>
    })
}

/// "20 of 20 epochs; 86.12 % of test images right where it teaches, after epoch 8, and 88.90 % after epoch 20."
fn said(teacher: &TeacherSummary) -> String {
    let state = if teacher.training { ", in training" } else { "" };
    let mut tested = teacher.teaches_at.iter().filter_map(|(epoch, test)| Some((epoch, (*test)?)));
    let Some((epoch, first)) = tested.next() else {
        let stops: Vec<String> = teacher.teaches_at.iter().map(|(epoch, _)| epoch.to_string()).collect();
        return format!("{} trained{state}; it teaches as it is after epoch {}.", done(teacher), stops.join(" and "));
    };
    let percent = |accuracy| numbers::percent(accuracy, 2);
    let more: String = tested.map(|(epoch, test)| format!(", {} after epoch {epoch}", percent(test))).collect();
    format!(
        "{} trained{state}. It teaches with {} test accuracy after epoch {epoch}{more}.",
        done(teacher),
        percent(first)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{curve, page, report};
    use study::{Architecture, Epoch, Seed};

    fn teacher(index: usize, done: u32, test: [Option<f64>; 2]) -> TeacherSummary {
        TeacherSummary {
            label: format!("wrn-16-2, seed {index}"),
            architecture: Architecture::WideResNet { depth: 16, width: 2 },
            seed: Seed(index as u32),
            epochs_done: Epoch(done),
            epochs_total: Epoch(20),
            training: done < 20,
            teaches_at: vec![(Epoch(8), test[0]), (Epoch(20), test[1])],
            validation: Series { points: Vec::new(), ..curve(index, "wrn-16-2", None, 90.0, 25.0) },
        }
    }

    #[test]
    fn a_teacher_is_followed_from_its_first_epoch_to_where_it_teaches() {
        let mut report = report();
        assert_eq!(teachers_in_training(&report), None);
        report.teachers = vec![teacher(0, 3, [None, None])];
        assert_eq!(teachers_in_training(&report).as_deref(), Some("Teacher wrn-16-2, seed 0 trains: 3 of 20 epochs."));
        report.teachers.push(teacher(1, 4, [None, None]));
        let two = teachers_in_training(&report).unwrap();
        assert!(two.ends_with("3 of 20 epochs, and 1 teacher beside it."), "{two}");

        report.teachers = vec![teacher(0, 20, [Some(86.12), Some(88.9)])];
        report.teachers[0].validation = curve(0, "wrn-16-2", None, 90.0, 25.0);
        let html = page(&report);
        let panel = html.split("id=\"teachers-heading\"").nth(1).unwrap();
        let panel = &panel[..panel.find("</section>").unwrap()];
        for expected in [
            "The teacher<",
            "20 of 20 epochs trained",
            "86.12\u{202f}% test accuracy after epoch 8, 88.90\u{202f}% after",
            "<path",
        ] {
            assert!(panel.contains(expected), "{expected} is not in {panel}");
        }
        assert!(!panel.contains("data-arm"), "a teacher is no arm: nothing fades for it");
    }
}
