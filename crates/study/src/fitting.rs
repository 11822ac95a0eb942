//! Whether the networks of a study can see its images, and look where each other look.

use crate::{Architecture, Chain, Dataset, Method, Number, SpecError, Treatment};
use std::collections::BTreeSet;

/// Networks that do not see images of this size, each with the field that asks for it.
pub(crate) fn refuse_sizes(
    dataset: Dataset,
    networks: impl IntoIterator<Item = (&'static str, Architecture)>,
) -> Vec<SpecError> {
    let size = dataset.image_size();
    let mut seen = BTreeSet::new();
    let wrong = |(field, network): &(&'static str, Architecture)| {
        !network.image_sizes().contains(&size) && seen.insert((*field, *network))
    };
    let told = |(field, network): (&'static str, Architecture)| {
        let (least, most) = network.image_sizes().into_inner();
        SpecError {
            field: field.into(),
            problem: format!("does not see images of {size} × {size} pixels, which {dataset} has"),
            given: format!("\"{network}\""),
            allowed: if size > most {
                "resnet18, resnet34, resnet50 for such images".into()
            } else {
                format!(
                    "images of {least} to {most} pixels for {network}, or a network for smaller ones, such as wrn-16-2"
                )
            },
        }
    };
    networks.into_iter().filter(wrong).map(told).collect()
}

/// A method that compares attention maps group by group, where those of someone who teaches and someone who learns do not pair: there
/// must be as many, each as large as the other.
pub(crate) fn refuse_unpaired_maps(
    dataset: Dataset,
    treatment: &Treatment,
    teachers: &[Architecture],
    students: &[Architecture],
) -> Option<SpecError> {
    let looks = |method: &&Method| {
        let weights = treatment.values(**method, Number::AttentionWeight);
        method.has(Number::AttentionWeight) && weights.iter().any(|weight| *weight > 0.0)
    };
    let method = treatment.method.0.iter().find(looks)?;
    let nobody = [Chain::default()];
    let chains = treatment.chain.as_ref().map_or(&nobody[..], |chains| &chains.0);
    let sizes = |network: Architecture| network.layout().map_sizes(dataset.image_size());
    let (teacher, learner) = chains.iter().find_map(|chain| {
        let members: Vec<Architecture> = chain.0.iter().map(|member| member.architecture).collect();
        let within = members.windows(2).map(|pair| (pair[0], pair[1]));
        let first = members.first().map_or(students, std::slice::from_ref);
        let last = members.last().map_or(teachers, std::slice::from_ref);
        let of = |ones: &[Architecture], others: &[Architecture]| -> Vec<(Architecture, Architecture)> {
            ones.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))).collect()
        };
        let mut pairs = of(teachers, first).into_iter().chain(within).chain(of(last, students));
        pairs.find(|(teacher, learner)| sizes(*teacher) != sizes(*learner))
    })?;
    let in_words = |network: Architecture| {
        let sizes: Vec<String> = sizes(network).iter().map(u32::to_string).collect();
        format!("{network}'s are {} pixels wide", sizes.join(", "))
    };
    Some(SpecError {
        field: "treatment.method".into(),
        problem: format!(
            "compares attention maps group by group, and these do not pair: {}, {}",
            in_words(teacher),
            in_words(learner)
        ),
        given: format!("\"{}\"", method.name()),
        allowed: "networks whose groups give maps of the same sizes, or a method that looks at logits alone".into(),
    })
}
