//! Every server function: what the request carries, one of the laboratory's functions, a type of the field.

use crate::{error::ApiError, form::Fields};
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use study::{
    ExampleCard, Machine, Report, Share, ShareId, Snapshot, SpecError, Study, StudyCard, StudyId, teacher_logits::Held,
};

#[cfg(feature = "ssr")]
use crate::{error::answer_with_status_of, laboratory, laboratory::Laboratory};

#[cfg(feature = "ssr")]
fn open_laboratory() -> Laboratory {
    expect_context::<Laboratory>()
}

/// Gives the page or answer the error's status on its way out.
#[cfg(feature = "ssr")]
fn told<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
    result.inspect_err(answer_with_status_of)
}

/// As [`told`], of a button that was pressed: the answer to a plain form leads back to its page with the error in the address, and
/// a browser follows it only as long as its status says so.
#[cfg(feature = "ssr")]
fn done<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
    if without_scripts() { result } else { told(result) }
}

#[server(endpoint = "studies", input = GetUrl)]
pub async fn list_studies() -> Result<Vec<StudyCard>, ApiError> {
    told(laboratory::list(&open_laboratory()).await)
}

#[server(endpoint = "machine", input = GetUrl)]
pub async fn this_machine() -> Result<Machine, ApiError> {
    Ok(open_laboratory().machine_now())
}

#[server(endpoint = "teacher-logits", input = GetUrl)]
pub async fn teacher_logits() -> Result<Held, ApiError> {
    Ok(laboratory::teacher_logits(&open_laboratory()))
}

#[server(endpoint = "report", input = GetUrl)]
pub async fn study_report(id: StudyId) -> Result<Report, ApiError> {
    told(laboratory::report(&open_laboratory(), id).await).map(|report| Report::clone(&report))
}

/// The study as it was written: what a new one starts from.
#[server(endpoint = "study", input = GetUrl)]
pub async fn study_as_written(id: StudyId) -> Result<Study, ApiError> {
    told(laboratory::stored(&open_laboratory(), id).await).map(|stored| stored.study)
}

/// A study file as the form has it, where it is TOML, and what is wrong with it. It is read here: what reads TOML would be a twentieth of
/// the browser's program.
#[server(endpoint = "read-study-file")]
pub async fn read_study_file(text: String) -> Result<(Option<Fields>, Vec<SpecError>), ApiError> {
    let errors = Study::from_toml(&text).err().unwrap_or_default();
    Ok((text.parse::<toml::Table>().ok().map(|table| Fields::of_table(&table)), errors))
}

/// Starts the study that the form's fields say. A browser without scripts is led to the study's page, or back to the form
/// with what was typed, which then says what is wrong beside each field.
#[server(endpoint = "start")]
pub async fn start_study(fields: Fields) -> Result<StudyId, ApiError> {
    let started = done(laboratory::create(&open_laboratory(), &fields.table()).await);
    match &started {
        Ok(id) if without_scripts() => leptos_axum::redirect(&format!("/studies/{id}")),
        Err(ApiError::Spec(_)) if without_scripts() => leptos_axum::redirect(&fields.address("/studies/new")),
        _ => {}
    }
    started
}

/// The short study that a first start offers.
#[server(endpoint = "start-short")]
pub async fn start_short_study() -> Result<StudyId, ApiError> {
    let table = Study::table(crate::SHORT_STUDY).map_err(ApiError::Spec)?;
    let id = done(laboratory::create(&open_laboratory(), &table).await)?;
    leptos_axum::redirect(&format!("/studies/{id}"));
    Ok(id)
}

#[server(endpoint = "stop")]
pub async fn stop_study(id: StudyId) -> Result<(), ApiError> {
    done(laboratory::stop(&open_laboratory(), id).await)
}

#[server(endpoint = "resume")]
pub async fn resume_study(id: StudyId) -> Result<(), ApiError> {
    done(laboratory::resume(&open_laboratory(), id).await)
}

/// Trains the study with more seeds of each arm.
#[server(endpoint = "add-seeds")]
pub async fn add_seeds(id: StudyId, more: u32) -> Result<(), ApiError> {
    done(laboratory::add_seeds(&open_laboratory(), id, more).await)
}

#[server(endpoint = "delete")]
pub async fn delete_study(id: StudyId) -> Result<(), ApiError> {
    done(laboratory::delete(&open_laboratory(), id).await)?;
    leptos_axum::redirect("/");
    Ok(())
}

/// Freezes the study's comparison and returns its link: the only time it is told. A browser without scripts is led to it.
#[server(endpoint = "share")]
pub async fn share_study(id: StudyId) -> Result<String, ApiError> {
    let laboratory = open_laboratory();
    let token = done(laboratory::share(&laboratory, id).await)?;
    let path = format!("/s/{token}");
    if without_scripts() {
        leptos_axum::redirect(&path);
    }
    Ok(format!("{}{path}", laboratory.public_url.clone().unwrap_or_else(host_of_the_request)))
}

#[server(endpoint = "shares", input = GetUrl)]
pub async fn list_shares() -> Result<Vec<Share>, ApiError> {
    told(laboratory::shares(&open_laboratory()).await)
}

#[server(endpoint = "revoke")]
pub async fn revoke_share(id: ShareId) -> Result<(), ApiError> {
    done(laboratory::revoke(&open_laboratory(), id).await)
}

#[server(endpoint = "shared", input = GetUrl)]
pub async fn shared(token: String) -> Result<Snapshot, ApiError> {
    let snapshot = laboratory::shared(&open_laboratory(), &token).await;
    told(snapshot.and_then(|found| found.ok_or_else(|| ApiError::NotFound("shared comparison".into()))))
}

/// What a list says of the studies that were trained beforehand, in its order.
#[server(endpoint = "examples", input = GetUrl)]
pub async fn examples() -> Result<Vec<ExampleCard>, ApiError> {
    Ok(open_laboratory().examples.cards.to_vec())
}

/// One of them, by the name that its card has; not found where none has it.
#[server(endpoint = "example", input = GetUrl)]
pub async fn example(name: String) -> Result<Snapshot, ApiError> {
    told((open_laboratory().examples.read)(&name).ok_or_else(|| ApiError::NotFound("example".into())))
}

/// The first example, by its name, without its curves and what else is looked at closely, for the first page; `None` where the program was
/// built without one.
#[server(endpoint = "example-in-brief", input = GetUrl)]
pub async fn example_in_brief() -> Result<Option<(String, Report)>, ApiError> {
    let laboratory::Examples { cards, read } = open_laboratory().examples;
    let in_brief = |report: Report| Report { curves: Vec::new(), conflicts: Vec::new(), confusion: None, ..report };
    let first = cards.first().and_then(|card| Some((card.name.clone(), in_brief(read(&card.name)?.report))));
    Ok(first)
}

/// Scripts ask for data; a plain form asks for a page.
#[cfg(feature = "ssr")]
fn without_scripts() -> bool {
    header("accept").is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(feature = "ssr")]
fn host_of_the_request() -> String {
    header("host").map(|host| format!("http://{host}")).unwrap_or_default()
}

#[cfg(feature = "ssr")]
fn header(name: &str) -> Option<String> {
    use_context::<http::request::Parts>()?.headers.get(name)?.to_str().ok().map(str::to_owned)
}
