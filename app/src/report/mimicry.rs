//! How near students come to their teachers: whether a student can mimic the larger one at all (Cho & Hariharan 2019, section 3.2).

use crate::{chart::at_the_end::kd_loss_left, numbers};
use leptos::prelude::*;
use study::{Metric, Number, Report, Series, claims::Claim, gallery::Card};

/// `None` where fewer than two arms distil, or none has come to its end.
pub fn mimicry(report: &Report) -> Option<impl IntoView + use<>> {
    let series = curves(report)?;
    let mut distilling = report.arms.iter().filter_map(|arm| arm.distillation.as_ref());
    let temperature = distilling.next().and_then(|it| it.scheme.number(Number::Temperature));
    let other_losses = distilling.any(|it| it.scheme.number(Number::Temperature) != temperature);
    Some(view! {
        <section class="panel picture" id="mimicry" aria-labelledby="mimicry-heading">
            <h2 id="mimicry-heading">"How near students come to their teachers"</h2>
            <p class="metric-explained">
                "The KD loss that is left at the end of training, on held-out images, also where KD has stopped before: the larger it is, the less \
                 can this student say what its teacher says. From labels alone: measured against the study’s first teacher. "
                {other_losses.then_some("At another temperature it is another loss: compare along one temperature.")}
            </p>
            {kd_loss_left(report, series, "kd-loss-left")}
            <p class="small-print">
                "Dot: mean over seeds. Bar: 95 % interval of the mean, of this arm by itself; of two seeds from the lower to the higher."
            </p>
        </section>
    })
}

/// Whether the study asks this and not which arm is the most accurate.
pub fn is_asked(report: &Report) -> bool {
    Card::of_title(&report.study.title).is_some_and(|card| card.claim == Claim::KdLossGrows)
}

/// "0.21 ± 0.02 (wrn-10-1 teaches), ...": of each arm; `None` where there is none.
pub fn left_in_words(report: &Report) -> Option<String> {
    let left = curves(report)?.iter().filter_map(|series| {
        let last = series.points.last()?;
        Some(format!("{} ({})", numbers::with_interval(last.mean, last.band()), series.label))
    });
    Some(left.collect::<Vec<_>>().join(", "))
}

/// Of the KD loss on held-out images, where several arms distil and one has come to its end.
pub fn curves(report: &Report) -> Option<&[Series]> {
    let (_, series) = report.curves.iter().find(|(metric, _)| *metric == Metric::KdLossValidation)?;
    let distil = report.arms.iter().filter(|arm| arm.distillation.is_some()).count();
    let is_at_its_end =
        |series: &Series| series.points.last().is_some_and(|it| it.epoch == report.arms[series.arm].epochs);
    (distil > 1 && series.iter().any(is_at_its_end)).then_some(series)
}
