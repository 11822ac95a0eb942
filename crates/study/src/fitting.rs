//! Whether the networks of a study can see its images, and look where each other look.

use crate::{Architecture, Dataset, Method, Number, SpecError, Treatment};

/// Networks that do not see images of this size. `networks`: each with the field that asks for it.
pub(crate) fn refuse_sizes(dataset: Dataset, networks: &[(&str, Architecture)]) -> Vec<SpecError> {
    let size = dataset.image_size();
    let mut wrong: Vec<(&str, Architecture)> = Vec::new();
    for network in networks {
        if !network.1.image_sizes().contains(&size) && !wrong.contains(network) {
            wrong.push(*network);
        }
    }
    let told = |(field, network): (&str, Architecture)| {
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
    wrong.into_iter().map(told).collect()
}

/// A method that compares attention maps group by group, where those of `networks`, all who teach or learn, do not pair: there must be as
/// many, each as large as the other. Every teacher leads to every student through every chain, so where any two differ, two neighbours do.
pub(crate) fn refuse_unpaired_maps(
    dataset: Dataset,
    treatment: &Treatment,
    networks: &[(&str, Architecture)],
) -> Option<SpecError> {
    let looks = |method: &&Method| {
        let weights = treatment.values(**method, Number::AttentionWeight);
        method.has(Number::AttentionWeight) && weights.iter().any(|weight| *weight > 0.0)
    };
    let method = treatment.method.0.iter().find(looks)?;
    let sizes = |network: Architecture| network.layout().map_sizes(dataset.image_size());
    let ((_, first), others) = networks.split_first()?;
    let of_first = sizes(*first);
    let (_, other) = others.iter().find(|(_, network)| sizes(*network) != of_first)?;
    let in_words = |network: Architecture| {
        let sizes: Vec<String> = sizes(network).iter().map(u32::to_string).collect();
        format!("{network}'s are {} pixels wide", sizes.join(", "))
    };
    Some(SpecError {
        field: "treatment.method".into(),
        problem: format!(
            "compares attention maps group by group, and these do not pair: {}, {}",
            in_words(*first),
            in_words(*other)
        ),
        given: format!("\"{}\"", method.name()),
        allowed: "networks whose groups give maps of the same sizes, or a method that looks at logits alone".into(),
    })
}
