//! How the form looks: fields with their errors beside them, and what the study would come to as one types.

use super::{
    Fields, Preview,
    fields::{self, Entry, Field},
    preview,
    side::Side,
    words::{in_the_forms_words, said, said_of_the_rest},
};
use crate::{api, error::ApiError, numbers};
use leptos::{ev, html, prelude::*, server_fn::ServerFn};
use study::{Dataset, Machine, Method, SpecError};

/// The form, from `first` on, for `machine`. It is a plain form too: without scripts it is sent, and comes back with errors.
#[island]
pub fn Form(first: Fields, machine: Machine) -> impl IntoView {
    let typed = RwSignal::new(first);
    let start = Action::new(|fields: &Fields| api::start_study(fields.clone()));
    let send = move |event: ev::SubmitEvent| {
        event.prevent_default();
        start.dispatch(typed.get_untracked());
    };
    let notice = machine.notice().as_deref().map(in_the_forms_words);
    let folders =
        machine.datasets.iter().map(|facts| facts.dataset).filter(|dataset| matches!(dataset, Dataset::Folder(_)));
    let folders = StoredValue::new(folders.map(|name| (name.into(), name.into())).collect::<Vec<(String, String)>>());
    // A digest tells a person nothing: a teacher's name stands beside it.
    let imported = machine.imported.iter().map(|teacher| (teacher.network.to_string(), teacher.name.clone()));
    let imported = StoredValue::new(imported.collect::<Vec<_>>());
    let shown = Memo::new(move |_| typed.with(|fields| preview(fields, &machine)));
    // What the server refused, until the next key is typed: it may know more than the browser does.
    let refused = RwSignal::new(Vec::<SpecError>::new());
    // Every error stands together at the top once a person has tried to start with one, or comes back from it.
    let tried = RwSignal::new(shown.with_untracked(|preview| !preview.errors.is_empty()));
    let summary = NodeRef::<html::Div>::new();
    let tell = move || {
        tried.set(true);
        // It is there to be focused from the next frame on.
        request_animation_frame(move || {
            if let Some(summary) = summary.get_untracked() {
                // Where it cannot be focused it still stands there.
                let _ = summary.focus();
            }
        });
    };
    Effect::new(move |_| match start.value().get() {
        Some(Ok(id)) => {
            // Where the browser does not go there, the study stands in the list.
            let _ = window().location().set_href(&format!("/studies/{id}"));
        }
        Some(Err(ApiError::Spec(errors))) => {
            refused.set(errors);
            tell();
        }
        _ => refused.set(Vec::new()),
    });
    Effect::new(move |_| {
        typed.track();
        refused.set(Vec::new());
    });
    let errors = Memo::new(move |_| {
        let mut errors = shown.with(|preview| preview.errors.clone());
        refused.with(|refused| {
            errors.extend(refused.iter().filter(|error| !errors.contains(error)).cloned().collect::<Vec<_>>())
        });
        errors
    });
    Effect::new(move |_| {
        if errors.with(Vec::is_empty) {
            tried.set(false);
        }
    });
    // Whoever leaves and comes back finds what was typed, as does whoever is given the address.
    Effect::new(move |was: Option<()>| {
        let address = typed.with(|fields| fields.address("/studies/new"));
        if was.is_some() {
            put_into_address(&address);
        }
    });
    let check_first = move |event: ev::MouseEvent| {
        if !errors.with_untracked(Vec::is_empty) {
            event.prevent_default();
            tell();
        }
    };
    // Once opened for an error it stays open: it must not close under the hand that puts it right.
    let recipe_is_wrong = Memo::new(move |was: Option<&bool>| {
        was.is_some_and(|was| *was)
            || errors
                .with(|errors| errors.iter().any(|error| fields::RECIPE.iter().any(|field| field.path == error.field)))
    });
    let is_searched = Memo::new(move |was: Option<&bool>| {
        was.is_some_and(|was| *was)
            || typed.with(|fields| fields::SEARCH.iter().any(|it| !fields.get(it.path).is_empty()))
    });
    let labels_alone = Signal::derive(move || typed.with(|fields| fields.get(fields::METHOD.path).is_empty()));
    let field = move |field: &'static Field| {
        let offered = match field.path {
            fields::TEACHERS => imported.get_value(),
            path if path == fields::DATASET.path => folders.get_value(),
            _ => Vec::new(),
        };
        entry(field, offered, typed, errors)
    };
    let other_problem = move || match start.value().get() {
        Some(Err(error)) if !matches!(error, ApiError::Spec(_)) => {
            Some(view! { <p class="problem" role="alert">{error.to_string()}</p> })
        }
        _ => None,
    };
    view! {
        <noscript>
            <p class="notice">
                "Without JavaScript this page checks the study only when it is sent. The same study can be run from a file with "
                <code>"stillroom run STUDY.toml"</code>"."
            </p>
        </noscript>
        <div class="setup">
            <form method="post" action=api::StartStudy::url() on:submit=send>
                // Enter in a field presses a form's first button: this one, which does nothing.
                <button type="submit" disabled hidden></button>
                <div class="form">
                    {notice.map(|notice| view! { <p class="notice">{notice}</p> })}
                    <div class="summary" tabindex="-1" node_ref=summary>
                        {move || tried.get().then(|| errors.with(|errors| (!errors.is_empty()).then(|| to_put_right(errors, typed))))}
                    </div>
                    <fieldset>
                        <legend>"The question"</legend>
                        {field(&fields::TITLE)}
                        <div class="fields">{field(&fields::DATASET)} {field(&fields::SEEDS)}</div>
                    </fieldset>
                    <fieldset>
                        <legend>"The student"</legend>
                        <div class="fields">{fields::STUDENT.iter().map(field).collect_view()}</div>
                    </fieldset>
                    <fieldset>
                        <legend>"How it is taught"</legend>
                        {field(&fields::METHOD)}
                        <div class="fields" class:unused=labels_alone>{fields::TREATMENT.iter().map(field).collect_view()}</div>
                    </fieldset>
                    <fieldset class:unused=labels_alone>
                        <legend>"The teacher"</legend>
                        <div class="fields">
                            {fields::TEACHER.iter().map(field).collect_view()} {fields::LINE.iter().map(field).collect_view()}
                        </div>
                    </fieldset>
                    <details class="recipe" open=recipe_is_wrong>
                        <summary>"Recipe: batches, learning rate, augmentation, device"</summary>
                        <div class="fields">{fields::RECIPE.iter().map(field).collect_view()}</div>
                    </details>
                    <details class="recipe" open=is_searched>
                        <summary>"Search: the best of many arms within a budget"</summary>
                        <div class="fields">{fields::SEARCH.iter().map(field).collect_view()}</div>
                    </details>
                    {other_problem}
                    <div class="choices start">
                        <button class="button" type="submit" disabled=start.pending() on:click=check_first>"Start"</button>
                        <p class="aside">
                            {move || errors.with(|errors| (!errors.is_empty()).then(|| blocked(errors)))}
                            {move || shown.with(in_short)}
                        </p>
                    </div>
                </div>
            </form>
            <Side typed=typed shown=shown errors=errors/>
        </div>
    }
}

/// Keeps what stands in the form in the browser's address.
#[cfg(feature = "hydrate")]
fn put_into_address(address: &str) {
    let history = window().history();
    // A browser that finds this too often refuses; the next key is heard again.
    let _ = history.and_then(|history| history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(address)));
}

#[cfg(not(feature = "hydrate"))]
fn put_into_address(address: &str) {
    let _ = address;
}

pub(super) fn field_of(error: &SpecError) -> Option<&'static Field> {
    fields::all().find(|field| field.path == error.field)
}

/// `things`: what they are, where there are several.
fn how_many(count: usize, things: &str) -> String {
    match count {
        1 => "One thing is to be put right first".into(),
        more => format!("{more} {things} are to be put right first"),
    }
}

/// Beside the button: which fields are wrong, each a way to it.
fn blocked(errors: &[SpecError]) -> impl IntoView + use<> {
    let wrong = |field: &&Field| errors.iter().any(|error| error.field == field.path);
    let homeless = errors.iter().filter(|error| field_of(error).is_none()).count();
    let fields: Vec<&Field> = fields::all().filter(wrong).collect();
    let said = how_many(fields.len() + homeless, if homeless == 0 { "fields" } else { "things" });
    let links = fields.into_iter().enumerate().map(|(index, field)| {
        let before = if index == 0 { ": " } else { ", " };
        view! { {before}<a href=format!("#{}", fields::element_id(field.path))>{field.label}</a> }
    });
    view! { {said} {links.collect_view()} ". " }
}

/// At the top: everything that is wrong, each with a way to its field.
fn to_put_right(errors: &[SpecError], typed: RwSignal<Fields>) -> impl IntoView + use<> {
    let items = errors.iter().map(|error| match field_of(error) {
        Some(field) => {
            let said = typed.with_untracked(|fields| said(error, field, fields.get(field.path)));
            let place = format!("#{}", fields::element_id(field.path));
            view! { <li><a href=place>{field.label}</a>". "{said}</li> }.into_any()
        }
        None => view! { <li>{said_of_the_rest(error)}</li> }.into_any(),
    });
    view! {
        <div class="problem">
            <p>{how_many(errors.len(), "things")}":"</p>
            <ul>{items.collect_view()}</ul>
        </div>
    }
}

/// Beside the button, where a small screen shows nothing else of the plan.
fn in_short(preview: &Preview) -> String {
    let Some((plan, outlook)) = &preview.planned else { return String::new() };
    let counts = match &outlook.at_most {
        Some(_) => outlook.counts(plan),
        None => {
            format!("{}, {}", numbers::counted(plan.runs.len() as u64, "run"), numbers::counted(plan.epochs, "epoch"))
        }
    };
    match outlook.time() {
        Some(time) => format!("{counts} · {time}"),
        None => counts,
    }
}

/// One field with its label, hint and errors. `offered`: what this machine offers beside what every machine does, each with what it is
/// called.
fn entry(
    field: &'static Field,
    offered: Vec<(String, String)>,
    typed: RwSignal<Fields>,
    errors: Memo<Vec<SpecError>>,
) -> impl IntoView + use<> {
    let id = fields::element_id(field.path);
    let (hint_id, error_id) = (format!("{id}-hint"), format!("{id}-error"));
    let name = format!("fields[{}]", field.path);
    let wrong = Signal::derive(move || errors.with(|errors| errors.iter().any(|error| error.field == field.path)));
    let invalid = move || wrong.get().then_some("true");
    let described = {
        let (hint_id, error_id) = (hint_id.clone(), error_id.clone());
        move || if wrong.get() { format!("{hint_id} {error_id}") } else { hint_id.clone() }
    };
    let text = move || typed.with(|fields| fields.get(field.path).to_owned());
    let change = move |text: String| typed.update(|fields| fields.set(field.path, text));
    let input = match field.entry {
        Entry::Words | Entry::Value(_) | Entry::Values(_) | Entry::Chains(_) | Entry::List => {
            let suggestions = match field.entry {
                Entry::Value(suggestions) | Entry::Values(suggestions) | Entry::Chains(suggestions) => suggestions,
                _ => &[],
            };
            let list_id = format!("{id}-suggestions");
            let is_offered = !suggestions.is_empty() || !offered.is_empty();
            let list = is_offered.then(|| {
                view! {
                    <datalist id=list_id.clone()>
                        {suggestions.iter().map(|suggestion| view! { <option value=*suggestion></option> }).collect_view()}
                        {offered.into_iter().map(|(value, called)| view! { <option value=value label=called></option> }).collect_view()}
                    </datalist>
                }
            });
            view! {
                <input
                    type="text"
                    id=id.clone()
                    name=name
                    class:several=matches!(field.entry, Entry::Values(_))
                    autocomplete="off"
                    spellcheck="false"
                    list=is_offered.then_some(list_id)
                    aria-describedby=described
                    aria-invalid=invalid
                    value=typed.with_untracked(|fields| fields.get(field.path).to_owned())
                    prop:value=text
                    on:input=move |event| change(event_target_value(&event))
                />
                {list}
            }
            .into_any()
        }
        Entry::OneOf(choices) => {
            let given = typed.with_untracked(|fields| fields.get(field.path).to_owned());
            let known = choices.iter().map(|(value, label)| (value.to_string(), label.to_string()));
            let options: Vec<(String, String)> = known.chain(offered).collect();
            let listed: Vec<String> = options.iter().map(|(value, _)| value.clone()).collect();
            let options = options.into_iter().map(|(value, label)| {
                let chosen = value == given;
                view! { <option value=value selected=chosen>{label}</option> }
            });
            // What another machine has stands there too, also once it was pasted, and the error beside it says that it is not here.
            let other = move || {
                let given = text();
                let is_other = listed.iter().all(|value| *value != given);
                is_other.then(|| view! { <option value=given.clone() selected=true>{given.clone()}</option> })
            };
            view! {
                <select
                    id=id.clone()
                    name=name
                    aria-describedby=described
                    aria-invalid=invalid
                    prop:value=text
                    on:change=move |event| change(event_target_value(&event))
                >
                    {options.collect_view()}
                    {other}
                </select>
            }
            .into_any()
        }
        Entry::AnyOf(choices) => {
            let boxes = choices.iter().map(|(choice, label)| {
                let taken = move || typed.with(|fields| fields.has(field.path, choice));
                let choose = move |take: bool| typed.update(|fields| fields.choose(field.path, choices, choice, take));
                view! {
                    <label>
                        <input
                            type="checkbox"
                            name=format!("fields[{}]", Fields::choice(field.path, choice))
                            value="true"
                            data-choice=*choice
                            checked=typed.with_untracked(|fields| fields.has(field.path, choice))
                            prop:checked=taken
                            on:change=move |event| choose(event_target_checked(&event))
                        />
                        {*label}
                    </label>
                }
            });
            view! {
                <div class="any-of" role="group" id=id.clone() tabindex="-1" aria-label=field.label aria-describedby=described>
                    {boxes.collect_view()}
                </div>
            }
            .into_any()
        }
        Entry::Check => view! {
            <input
                type="checkbox"
                id=id.clone()
                name=name
                value="true"
                aria-describedby=described
                aria-invalid=invalid
                checked=typed.with_untracked(|fields| fields.get(field.path) == "true")
                prop:checked=move || text() == "true"
                on:change=move |event| change(if event_target_checked(&event) { "true".into() } else { String::new() })
            />
        }
        .into_any(),
    };
    let told = move || {
        errors.with(|errors| {
            let own = errors.iter().filter(|error| error.field == field.path);
            let lines = own.map(|error| typed.with(|fields| said(error, field, fields.get(field.path))));
            lines.map(|said| view! { <span class="error-line">{said}</span> }).collect_view()
        })
    };
    let check = matches!(field.entry, Entry::Check);
    let label = match field.entry {
        // Each of its boxes has a label of its own.
        Entry::AnyOf(_) => view! { <span class="several-label">{field.label}</span> }.into_any(),
        _ => view! { <label for=id>{field.label}</label> }.into_any(),
    };
    // By the style sheet, without scripts too: shown where one of these is ticked.
    let methods = fields::methods(field).map(|methods| methods.map(Method::name).collect::<Vec<_>>().join(" "));
    view! {
        <div class="field" class:check=check class:wrong=wrong data-methods=methods>
            {label}
            {input}
            <p class="error" id=error_id aria-live="polite">{told}</p>
            <p class="hint" id=hint_id>{field.hint}</p>
        </div>
    }
}
