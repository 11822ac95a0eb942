use super::{data::lacking, examples::address};
use crate::{
    form::{Fields, Preview, preview},
    laboratory::Laboratory,
    numbers,
};
use leptos::prelude::*;
use leptos_meta::Title;
use study::{
    Dataset, ExampleCard, Machine, Outlook, Plan, Unusable,
    gallery::{CARDS, Card, Size},
};

/// The paper's experiments: each opens as a study's form, ready to start.
#[component]
pub fn Gallery() -> impl IntoView {
    let laboratory: Laboratory = expect_context();
    let machine = laboratory.machine_now();
    let cards = CARDS.map(|card| experiment(&card, &machine, &laboratory.examples.cards)).collect_view();
    view! {
        <Title text="The paper’s experiments"/>
        <article class="page">
            <h1>"The paper’s experiments"</h1>
            <p class="lead">
                "“On the Efficacy of Knowledge Distillation” (Cho and Hariharan, ICCV 2019) asks of larger teachers, and of stopping early. \
                 Ask it of this machine: each opens as a study, ready to start or to be changed."
            </p>
            {missing(&machine)}
            <ul class="cards">{cards}</ul>
        </article>
    }
}

fn experiment(card: &Card, machine: &Machine, examples: &[ExampleCard]) -> impl IntoView + use<> {
    let example = examples.iter().find(|example| example.title == card.question).map(|example| {
        view! { <p><a href=address(&example.name)>"What it found, trained beforehand by this program"</a></p> }
    });
    let sizes = Size::ALL.map(|size| {
        let form = Fields::of_study(&card.study(size));
        let comes_to = comes_to(&form, machine);
        view! {
            <li>
                <a class="button quiet" href=form.address("/studies/new")>{size.name()}</a>
                <span class="aside">{comes_to}</span>
            </li>
        }
    });
    view! {
        <li class="card" id=card.slug>
            <h2>{card.question}</h2>
            <p>{card.finding}</p>
            <ul class="sizes">{sizes.collect_view()}</ul>
            {example}
        </li>
    }
}

/// The images that an experiment of some size is of and that are not here, and what to do: once for all of them.
fn missing(machine: &Machine) -> impl IntoView + use<> {
    let asked = |dataset: Dataset| Size::ALL.iter().any(|size| size.dataset() == dataset);
    let missing = machine.unusable.iter().filter(|unusable| asked(unusable.dataset));
    let said = missing.map(|Unusable { dataset, reason, .. }| {
        let place = format!("/data#{dataset}");
        view! { <p class="aside">{lacking(*dataset, reason)} " " <a href=place>"Download it, or see what is here"</a></p> }
    });
    said.collect_view()
}

/// How much it is and how long that takes here, and what this machine lacks for it.
fn comes_to(form: &Fields, machine: &Machine) -> String {
    let Preview { errors, planned } = preview(form, machine);
    let lacking = errors.iter().map(|error| match error.field.as_str() {
        "dataset" => format!("needs {}, which is not on this machine", error.given.trim_matches('"')),
        _ => format!("{} {}", error.field, error.problem),
    });
    planned
        .as_ref()
        .map(|(plan, outlook)| in_short(plan, outlook))
        .into_iter()
        .chain(lacking)
        .collect::<Vec<_>>()
        .join("; ")
}

fn in_short(plan: &Plan, outlook: &Outlook) -> String {
    let runs = numbers::counted(plan.runs.len() as u64, "run");
    let epochs = numbers::counted(plan.epochs, "epoch");
    let time = outlook.time().map(|time| format!(" · {time}"));
    format!("{runs}, {epochs}{}", time.unwrap_or_default())
}
