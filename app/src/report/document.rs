//! What studies found, as one document in Markdown: for each its answer, its picture, its table, and what the paper says of it.

use super::{mimicry::left_in_words, provenance::machines, setup::what};
use crate::{chart::at_the_end::picture_title, numbers};
use study::{
    Difference, Report, Verdict,
    agreement::{Agreement, Peer, agreements},
    claims::{Claim, Judged, Judgement, judge},
    gallery::Card,
};

/// A study, the name of its picture's file, as the document refers to it, and what another program found of the same study.
pub struct Recorded<'a> {
    pub report: &'a Report,
    pub picture: String,
    pub peer: Option<&'a Peer>,
}

/// The whole document, in the order given.
pub fn document(studies: &[Recorded<'_>]) -> String {
    let head = "# Results\n\nWritten by `stillroom results` from studies that were trained by this program, and by nothing else: no number \
                here was typed. Intervals are 95 %; an arm is chosen on images held out for validation, and its accuracy is that on test \
                images after the last epoch.\n";
    let sections = studies.iter().map(section);
    std::iter::once(head.to_owned()).chain(sections).collect::<Vec<_>>().join("\n")
}

fn section(study: &Recorded<'_>) -> String {
    let report = study.report;
    let card = Card::of_title(&report.study.title);
    let mut parts = vec![
        format!("## {}", escaped(&report.study.title)),
        format!("{}. {}", what(report), machines(report)),
        format!("**{}**", escaped(&report.comparison.answer)),
        format!("![{}]({})", escaped(&format!("{}: {}", picture_title(report), report.study.title)), study.picture),
        table(report),
        format!("Intervals by the model {}.", report.comparison.model),
    ];
    parts.extend(card.map(|card| against_the_paper(card, report)));
    parts.extend(report.comparison.remarks.iter().map(|remark| escaped(remark)));
    parts.extend(study.peer.and_then(|peer| beside_the_peer(report, peer)));
    parts.join("\n\n") + "\n"
}

fn table(report: &Report) -> String {
    let head = "| arm | n | validation, % | test accuracy, % | difference, points | p | verdict |\n|---|--:|--:|--:|--:|--:|---|";
    let rows = report.comparison.arms.iter().map(|arm| {
        let difference = arm.difference.as_ref();
        let cells = [
            escaped(&arm.label),
            arm.n.to_string(),
            arm.validation_mean.map_or("-".into(), |mean| numbers::fixed(mean, 2)),
            arm.mean.map_or("-".into(), |mean| numbers::with_interval(mean, arm.interval)),
            difference.map_or("-".into(), |it| numbers::signed_with_interval(it.mean, it.interval)),
            difference.and_then(|it| it.p_value).map_or("-".into(), numbers::p_value),
            difference
                .map_or(if report.arms[arm.arm].baseline == arm.arm { "baseline" } else { "-" }, verdict)
                .to_owned(),
        ];
        format!("| {} |", cells.join(" | "))
    });
    std::iter::once(head.to_owned()).chain(rows).collect::<Vec<_>>().join("\n")
}

fn verdict(difference: &Difference) -> &'static str {
    match difference.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NotDistinguishable => "not distinguishable",
        Verdict::TooFewSeeds => "too few seeds",
    }
}

/// The same arms by another program, and how many of them tell the programs apart; `None` where it has none of them.
fn beside_the_peer(report: &Report, peer: &Peer) -> Option<String> {
    let all = agreements(report, peer);
    let with_intervals = all.iter().filter(|it| it.interval.is_some()).count();
    let agreeing = all.iter().filter(|it| it.agrees() == Some(true)).count();
    let told = match with_intervals {
        0 => "with one seed nothing is said of the difference".to_owned(),
        _ => format!(
            "in {agreeing} of {with_intervals} arms they cannot be told apart (0 lies inside the 95 % interval of the difference, by \
             Welch’s t; uncorrected, so that one in twenty would lie outside by chance)"
        ),
    };
    let distils = all.iter().any(|it| report.arms[it.arm].distillation.is_some());
    let one_teacher = match distils && with_intervals > 0 && !report.study.teacher_per_seed() {
        true => " The students of each program have one teacher, whose own luck is in no interval.",
        false => "",
    };
    let lead = format!(
        "The same arms trained by {}, each program with seeds of its own: {told}.{one_teacher}",
        escaped(&peer.program)
    );
    let head = "| arm | here, % | there, % | n | difference, points |\n|---|--:|--:|--:|--:|";
    let row = |it: &Agreement| {
        let cells = [
            escaped(&report.arms[it.arm].label),
            numbers::fixed(it.ours, 2),
            numbers::fixed(it.peers, 2),
            format!("{} and {}", it.seeds, it.peer_seeds),
            numbers::signed_with_interval(it.difference, it.interval),
        ];
        format!("| {} |", cells.join(" | "))
    };
    let table = std::iter::once(head.to_owned()).chain(all.iter().map(row)).collect::<Vec<_>>().join("\n");
    (!all.is_empty()).then(|| format!("{lead}\n\n{table}"))
}

/// What the paper found, and what of it was found here.
fn against_the_paper(card: &Card, report: &Report) -> String {
    let said: Vec<String> = match card.claim {
        Claim::KdLossGrows => {
            let left = left_in_words(report).map(|left| escaped(&left));
            left.map(|left| format!("left of the KD loss on held-out images: {left}")).into_iter().collect()
        }
        _ => judge(report).iter().map(|it| judged(it, report)).collect(),
    };
    let here = if said.is_empty() { "nothing can be said of it yet".to_owned() } else { said.join("; ") };
    format!("The paper: {} Here: {here}.", card.finding)
}

fn judged(it: &Judgement, report: &Report) -> String {
    let label = |arm: usize| escaped(&report.arms[arm].label);
    let (above, below) = (label(it.above), label(it.below));
    let p = it.p_value.map_or(String::new(), |p| format!(", p {}", numbers::p_value(p)));
    let by = format!("{} points{p}", numbers::signed_with_interval(it.difference, it.interval));
    match it.judged {
        Judged::AsThePaperSays => format!("as the paper says, {above} is above {below} ({by})"),
        Judged::TheOpposite => format!("**against the paper**, {above} is below {below} ({by})"),
        Judged::NotDistinguishable => {
            format!("{above} and {below} cannot be told apart ({by}): neither shown nor refuted")
        }
        Judged::TooFewSeeds => format!("{above} and {below} have too few seeds to tell ({by})"),
    }
}

/// A text in which nothing means anything to Markdown.
fn escaped(text: &str) -> String {
    let special = |letter: char| matches!(letter, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#');
    text.chars().flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chart::at_the_end::picture_svg, report::tests::report};
    use study::{Epoch, Seed, agreement::PeerRun};

    #[test]
    fn a_study_is_written_down_with_its_answer_picture_table_and_model() {
        let report = report();
        let text = document(&[Recorded { report: &report, picture: "results/stop.svg".into(), peer: None }]);
        for expected in [
            "# Results\n",
            "## When should \\<distillation\\> stop?\n",
            "](results/stop.svg)\n",
            "| arm | n | validation, % | test accuracy, % |",
            "| labels only | 3 |",
            "Intervals by the model ",
            &format!("**{}**", report.comparison.answer),
        ] {
            assert!(text.contains(expected), "{expected} is not in the document:\n{text}");
        }
        assert_eq!(text.matches("\n| ").count(), 1 + report.arms.len());
        assert!(!text.contains("The paper:"), "it is none of the paper's experiments");
        let mut asked = report;
        asked.study.title = Card::of_slug("stopping-distillation").unwrap().question.to_owned();
        let text = document(&[Recorded { report: &asked, picture: "x.svg".into(), peer: None }]);
        assert!(text.contains("The paper: Stopped early (ESKD)") && text.contains(" Here: "), "{text}");
    }

    #[test]
    fn what_another_program_found_stands_beside_ours() {
        let report = report();
        let run = |kd_stop_epoch, teacher_stop_epoch, seed, test_accuracy| PeerRun {
            temperature: 4.0,
            kd_stop_epoch: Epoch(kd_stop_epoch),
            teacher_stop_epoch: Epoch(teacher_stop_epoch),
            seed: Seed(seed),
            test_accuracy,
        };
        let labels = [0.8830, 0.8850, 0.8845].into_iter().zip(0..).map(|(found, seed)| run(0, 8, seed, found));
        let distilled = [0.8612, 0.8609, 0.8621].into_iter().zip(0..).map(|(found, seed)| run(8, 20, seed, found));
        let unasked = run(4, 20, 0, 0.5);
        let peer = Peer { program: "PyTorch 2".into(), runs: labels.chain(distilled).chain([unasked]).collect() };
        let text = document(&[Recorded { report: &report, picture: "x.svg".into(), peer: Some(&peer) }]);
        for expected in [
            "trained by PyTorch 2, ",
            "in 1 of 2 arms they cannot be told apart (0 lies inside",
            "one teacher, whose own luck",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        assert!(text.contains("| labels only | 88.40 | 88.42 | 3 and 3 | −0.02"), "{text}");
        assert!(text.contains("| KD until 8, teacher stopped at 20 | 88.95 | 86.14 | 3 and 3 | +2.81"), "{text}");
        let one = Peer { runs: vec![run(8, 20, 0, 0.8612)], ..peer };
        let text = document(&[Recorded { report: &report, picture: "x.svg".into(), peer: Some(&one) }]);
        assert!(text.contains("with one seed nothing is said of the difference."), "{text}");
        assert!(!text.contains("whose own luck") && text.contains("| 88.95 | 86.12 | 3 and 1 | +2.83 |"), "{text}");
    }

    #[test]
    fn what_means_something_to_markdown_is_taken_as_it_is_written() {
        assert_eq!(escaped("a*b_c|[d]<e>"), "a\\*b\\_c\\|\\[d\\]\\<e\\>");
    }

    /// Each element is closed, by its own name and in order; and a file of its own holds its style.
    #[test]
    fn a_picture_alone_is_whole() {
        let picture = picture_svg(&report());
        assert!(
            picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && picture.trim_end().ends_with("</svg>")
        );
        assert!(picture.contains("--category-0:") && picture.contains("class=\"interval\""));
        assert!(!picture.contains("<!"), "what only a page may hold");
        let mut open = Vec::new();
        for tag in picture.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag ends");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if tag.ends_with('/') => {}
                None => open.push(tag.split([' ', '\n']).next().unwrap_or(tag)),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}
