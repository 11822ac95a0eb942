use super::{examples::address, refused};
use crate::{
    api,
    chart::at_the_end::final_accuracy,
    live::Live,
    numbers,
    pointer::Pointer,
    problem::Problem,
    report::{state_class, state_in_words},
};
use leptos::prelude::*;
use leptos_meta::Title;
use study::{Report, StudyCard};

/// All studies; on a first start, what this is and what to do.
#[component]
pub fn Home() -> impl IntoView {
    view! {
        <Title text=""/>
        <article class="page">
            <Suspense>
                {Suspend::new(async move {
                    let held = api::teacher_logits().await.ok().filter(|held| held.bytes > 0);
                    match api::list_studies().await {
                        Ok(studies) if studies.is_empty() => welcome(api::example_in_brief().await.ok().flatten()).into_any(),
                        Ok(studies) => view! {
                            <div class="headline">
                                <h1>"Studies"</h1>
                                <a class="button" href="/studies/new">"New study"</a>
                            </div>
                            <ul class="cards">{studies.into_iter().map(card).collect_view()}</ul>
                            {held.map(|held| view! { <p class="aside">{format!("Teachers’ logits kept, so that no student asks twice: {held}; the oldest go first.")}</p> })}
                        }
                        .into_any(),
                        Err(error) => view! { <h1>"Studies"</h1><Problem error=error/> }.into_any(),
                    }
                })}
            </Suspense>
            <Live/>
        </article>
    }
}

fn card(card: StudyCard) -> impl IntoView {
    let address = format!("/studies/{}", card.id);
    let progress = (card.epochs_done < card.epochs_total).then(|| {
        view! {
            <progress max=card.epochs_total value=card.epochs_done aria-label="Epochs trained"></progress>
            <span class="aside">
                {format!("{} of {} epochs", numbers::count(card.epochs_done), numbers::count(card.epochs_total))}
            </span>
        }
    });
    view! {
        <li class="card">
            <h2><a href=address>{card.title}</a></h2>
            <p class="card-answer">{card.answer}</p>
            <p class="card-facts">
                <span class=state_class(card.state)>{state_in_words(card.state)}</span>
                {progress}
                <span class="aside">
                    {format!("{}, {} · {}", numbers::counted(card.arms, "arm"), numbers::counted(card.runs, "run"), numbers::day(card.created_at))}
                </span>
            </p>
        </li>
    }
}

fn welcome(example: Option<(String, Report)>) -> impl IntoView {
    let start = ServerAction::<api::StartShortStudy>::new();
    let has_example = example.is_some();
    view! {
        <div class="welcome">
            <h1>"Does a teacher help, and when should it stop?"</h1>
            <p class="lead">
                "Stillroom trains small networks with and without a larger teacher, on this machine, and compares them with honest \
                 error bars. You choose the teacher’s size, the temperature, and the epoch at which distillation stops; it tells you \
                 what that did, and gives you a link to send."
            </p>
            <div class="choices">
                <ActionForm action=start>
                    <button class="button" type="submit">"Start a short study"</button>
                </ActionForm>
                <a class="button quiet" href="/studies/new">"Set up your own"</a>
                <a class="button quiet" href="/gallery">"The paper’s experiments"</a>
            </div>
            <p class="aside">"The short study trains for real, on images of clothes that are built in. It takes about two minutes on two cores."</p>
            {refused(start).map(|error| view! { <Problem error=error/> })}
        </div>
        {example.map(|(name, report)| in_brief(&report, &address(&name)))}
        {(!has_example).then(|| view! { <p class="empty">"Your studies will stand here."</p> })}
    }
}

/// The example's answer and picture: something to look at in the first second.
fn in_brief(report: &Report, address: &str) -> impl IntoView + use<> {
    view! {
        <section class="panel example" aria-labelledby="example-heading">
            <p class="kicker">"An example, trained beforehand by this program"</p>
            <h2 id="example-heading"><a href=address.to_owned()>{report.study.title.clone()}</a></h2>
            <p class="answer">{report.comparison.answer.clone()}</p>
            {final_accuracy(report, "example-accuracy")}
            <p class="choices">
                <a href=address.to_owned()>"See the whole example"</a>
                <a href="/examples">"See all examples"</a>
            </p>
            <Pointer/>
        </section>
    }
}
