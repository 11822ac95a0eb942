//! The button that freezes a study's comparison and shows its link.

use crate::{api, clipboard::copy, problem::Problem};
use leptos::{ev, prelude::*, server_fn::ServerFn};
use study::StudyId;

/// Shares the study. Without scripts its form leads to the frozen comparison.
#[island]
pub fn ShareButton(id: StudyId) -> impl IntoView {
    let share = Action::new(move |()| api::share_study(id));
    let send = move |event: ev::SubmitEvent| {
        event.prevent_default();
        share.dispatch(());
    };
    view! {
        <form method="post" action=api::ShareStudy::url() on:submit=send>
            <input type="hidden" name="id" value=id.to_string()/>
            <button type="submit" class="button" disabled=share.pending()>"Share"</button>
        </form>
        <div class="shared" aria-live="polite">
            {move || match share.value().get() {
                Some(Ok(link)) => Some(view! { <NewLink link=link/> }.into_any()),
                Some(Err(error)) => Some(view! { <Problem error=error/> }.into_any()),
                None => None,
            }}
        </div>
    }
}

/// A link that was just made: the only time it is shown.
#[component]
fn NewLink(link: String) -> impl IntoView {
    const ID: &str = "new-link";
    let copied = RwSignal::new(false);
    let only_here = opens_only_here(&link);
    view! {
        <div class="new-link">
            <label for=ID>"This comparison, frozen. Only whoever has this link can open it; it is shown this once:"</label>
            <div class="copy-row">
                <input id=ID type="text" readonly="" value=link.clone()/>
                <button type="button" class="button quiet" on:click=move |_| copy(ID, copied)>
                    {move || if copied.get() { "Copied" } else { "Copy" }}
                </button>
                <a class="button quiet" href=link.clone()>"Open"</a>
                <a class="button quiet" href=format!("{link}/download") download="">
                    "Download as one file"
                </a>
            </div>
            {only_here.then(|| view! {
                <p>
                    "This address opens on this machine only. For others, start Stillroom with "
                    <code>"--bind"</code>" and a password or behind a "<code>"--public-url"</code>", or send them the file by mail."
                </p>
            })}
            <p class="aside">"It can be taken back under "<a href="/shares">"Shared links"</a>"."</p>
        </div>
    }
}

/// Whether a link's host is this machine's own name for itself.
fn opens_only_here(link: &str) -> bool {
    let host = link.split_once("://").map_or(link, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_this_machine_is_known_by_its_host() {
        for here in ["http://127.0.0.1:3000/s/1", "http://localhost:3000/s/1", "http://[::1]:3000/s/1"] {
            assert!(opens_only_here(here), "{here}");
        }
        for elsewhere in ["https://lab.example.org/s/127.0.0.1", "http://192.168.1.2:3000/s/1"] {
            assert!(!opens_only_here(elsewhere), "{elsewhere}");
        }
    }
}
