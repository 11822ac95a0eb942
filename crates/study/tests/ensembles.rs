//! Which networks vote together, and what is made of their accuracies.

mod images;

use images::fashion_mnist_12k;
use study::{CheckpointId, Ensembles, Numerics, Plan, Study, ensembles::Members};

fn plan(seeds: u32, treatment: &str) -> Plan {
    let text = format!(
        "title = \"Is a sequence worth it?\"\ndataset = \"fashion-mnist-12k\"\nseeds = {seeds}\n\
         student = {{ architecture = \"wrn-10-1\", epochs = 4 }}\n\
         teacher = {{ architecture = \"wrn-10-1\", epochs = 4 }}\n[treatment]\n{treatment}\n"
    );
    let study = Study::from_toml(&text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    Plan::new(&study, &fashion_mnist_12k(), Numerics::CpuF32).unwrap()
}

/// Arm and seed of the run that ends with a network.
fn run_of(plan: &Plan, network: &CheckpointId) -> (String, u32) {
    let ends_there = |run: &&study::Run| run.legs.last().is_some_and(|leg| leg.segment == network.segment);
    let run = plan.runs.iter().find(ends_there).expect("a run's end");
    (plan.arms[run.arm].label.clone(), run.seed.0)
}

#[test]
fn generations_of_a_seed_vote_together_and_seeds_in_a_circle() {
    let plan = plan(3, "kd_stop_epoch = [0, 4]\ngenerations = 3");
    let mut asked = Vec::new();
    let found = Ensembles::of(&plan, |members| {
        asked.push(members.iter().map(|member| run_of(&plan, member)).collect::<Vec<_>>());
        Some(0.5 + 0.01 * members.len() as f64 + 0.001 * f64::from(run_of(&plan, &members[0]).1))
    });
    let found = found.expect("there are generations");
    let sizes: Vec<(Members, Vec<usize>)> = found
        .lines
        .iter()
        .map(|line| (line.members, line.points.iter().map(|point| point.accuracies.len()).collect()))
        .collect();
    assert_eq!(sizes, [(Members::Generations, vec![3, 3, 3]), (Members::Seeds, vec![3, 3, 1])]);
    assert_eq!(found.lines[1].label, "labels only");
    assert_eq!(found.lines[0].label, "KD to the end, generations 1 to 3");
    let answer = found.answer().expect("three of both");
    assert!(answer.starts_with("3 of KD to the end, generations 1 to 3 reach 53.10 ±"), "{answer}");
    assert!(answer.ends_with("together, 0.10 points above 3 networks of labels only (53.00\u{202f}%)."), "{answer}");

    // Of one seed throughout, each generation once.
    let of_three = asked.iter().filter(|members| members.len() == 3).collect::<Vec<_>>();
    assert_eq!(of_three.len(), 4);
    for (seed, members) in of_three[..3].iter().enumerate() {
        assert!(members.iter().all(|member| member.1 == seed as u32), "{members:?}");
        assert!(members[0].0 != members[1].0 && members[1].0 != members[2].0 && members[0].0 != members[2].0);
    }
    assert_eq!(of_three[3].iter().map(|member| member.1).collect::<Vec<_>>(), [0, 1, 2]);
    let pairs = asked.iter().filter(|members| members.len() == 2 && members[0].0 == "labels only");
    let pairs: Vec<Vec<u32>> = pairs.map(|members| members.iter().map(|member| member.1).collect()).collect();
    assert_eq!(pairs, [[0, 1], [1, 2], [2, 0]]);

    let of_two = &found.lines[0].points[1];
    assert!((of_two.mean - 52.1).abs() < 1e-9, "{of_two:?}");
    // 52.0, 52.1, 52.2: a deviation of 0.1, and 4.302653 is t at 2 degrees of freedom.
    let (low, high) = of_two.interval.expect("three ensembles with no network in common");
    assert!((high - low - 2.0 * 4.302653 * 0.1 / 3f64.sqrt()).abs() < 1e-5, "{low} {high}");
    assert_eq!(found.lines[1].points[1].interval, None, "they have networks in common");
}

#[test]
fn what_is_not_trained_yet_ends_a_line_and_a_study_without_generations_has_none() {
    let plan = plan(2, "kd_stop_epoch = [0, 4]\ngenerations = 3");
    let found = Ensembles::of(&plan, |members| (members.len() < 3).then_some(0.5)).expect("two are there");
    assert_eq!(found.lines.iter().map(|line| line.points.len()).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(Ensembles::of(&plan, |_| None), None);
    let one = self::plan(2, "kd_stop_epoch = [0, 4]");
    assert_eq!(Ensembles::of(&one, |_| Some(0.5)), None);
}

#[test]
fn each_stop_of_the_generations_is_a_sequence_that_begins_with_the_first() {
    let plan = plan(1, "generations = 2\ngeneration_stop_epoch = [2, 4]");
    let found = Ensembles::of(&plan, |members| Some(0.1 * members.len() as f64)).expect("there are generations");
    assert_eq!(found.lines.iter().map(|line| line.points.len()).collect::<Vec<_>>(), [2, 2]);
    assert!(found.lines.iter().all(|line| line.members == Members::Generations));
    assert_ne!(found.lines[0].label, found.lines[1].label);
}
