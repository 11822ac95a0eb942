//! How far the download of a data set is, and the buttons that begin it, give it up, and remove what came of it.

use super::remove;
use crate::laboratory::Download;
use leptos::prelude::*;
use study::{Dataset, cost::bytes_in_words};

/// A button, or how far what it began is.
pub(super) fn download(dataset: Dataset, begun: Option<&Download>) -> AnyView {
    match begun {
        None => begin(dataset).into_any(),
        Some(Download::Ended { problem }) => {
            view! { <p class="problem" role="alert">{problem.clone()}</p> {begin(dataset)} }.into_any()
        }
        Some(Download::Cancelled) => view! {
            <p>"The download was cancelled. What has come is kept, and another attempt goes on from there."</p>
            {begin(dataset)}
            {remove(&dataset.title(), format!("/api/v1/datasets/{dataset}/remove"), "What has come is removed for good.", "Remove what has come")}
        }
        .into_any(),
        Some(Download::Begun) => {
            view! { {going(dataset, "Downloading: its server was asked.".into(), None)} {cancel(dataset)} }.into_any()
        }
        Some(Download::Coming { file, bytes, total }) => {
            view! { {going(dataset, coming(file, *bytes, *total), Some((*bytes, *total)))} {cancel(dataset)} }
                .into_any()
        }
        Some(Download::Sent { bytes, total }) => sent(dataset, *bytes, *total),
        Some(Download::BeingRead) => going(dataset, "It has come, and is being read.".into(), None),
        Some(Download::BeingCancelled) => {
            going(dataset, "The download is being cancelled, which may take half a minute.".into(), None)
        }
    }
}

/// What has come stays: who cancels a download of hours may want the rest tomorrow.
fn cancel(dataset: Dataset) -> impl IntoView {
    view! {
        <form method="post" action=format!("/api/v1/datasets/{dataset}/download/cancel")>
            <button class="button quiet" type="submit" aria-label=format!("Cancel the download of {}", dataset.title())>"Cancel"</button>
        </form>
    }
}

fn begin(dataset: Dataset) -> impl IntoView {
    view! {
        <form method="post" action=format!("/api/v1/datasets/{dataset}/download")>
            <button class="button quiet" type="submit">{format!("Download {}", dataset.title())}</button>
        </form>
    }
}

/// How far an upload is. Of one whose end is not known beforehand there is no bar.
fn sent(dataset: Dataset, bytes: u64, total: Option<u64>) -> AnyView {
    let of = total.map_or_else(String::new, |total| format!(" of {}", bytes_in_words(total)));
    let said = format!("Being sent: {}{of} has come.", bytes_in_words(bytes));
    going(dataset, said, total.map(|total| (bytes.min(total), total)))
}

/// `far`: bytes that are here, of how many.
fn going(dataset: Dataset, said: String, far: Option<(u64, u64)>) -> AnyView {
    let label = format!("How much of {} has come", dataset.title());
    // A button, not a link: a link to this page's own address would only scroll.
    view! {
        <form method="get" action="/data">
            <p>{said}</p>
            {far.map(|(bytes, total)| view! { <progress value=bytes.to_string() max=total.to_string() aria-label=label></progress> })}
            <noscript><button class="button quiet" type="submit">"Look again"</button></noscript>
        </form>
    }
    .into_any()
}

/// How far a file is, in a sentence.
fn coming(file: &str, bytes: u64, total: u64) -> String {
    format!("Downloading: {} of {} of {file}.", bytes_in_words(bytes), bytes_in_words(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_says_how_far_it_is() {
        assert_eq!(
            coming("cifar-10-binary.tar.gz", 17_000_000, 170_052_171),
            "Downloading: 17 MB of 170 MB of cifar-10-binary.tar.gz."
        );
        let coming = Download::Coming { file: "cifar-10-binary.tar.gz", bytes: 17_000_000, total: 170_052_171 };
        let ended = Download::Ended { problem: "why".into() };
        assert!(coming.goes_on() && Download::BeingRead.goes_on() && Download::BeingCancelled.goes_on());
        assert!(!ended.goes_on() && !Download::Cancelled.goes_on());
        // As programs are told.
        let told = serde_json::to_value([&coming, &ended, &Download::BeingCancelled]).expect("JSON");
        let expected = serde_json::json!([
            { "state": "coming", "file": "cifar-10-binary.tar.gz", "bytes": 17_000_000, "total": 170_052_171 },
            { "state": "ended", "problem": "why" },
            { "state": "being-cancelled" },
        ]);
        assert_eq!(told, expected);
    }

    #[test]
    fn a_download_that_goes_on_can_be_cancelled_and_a_cancelled_one_goes_on() {
        let html = |state: &Download| Owner::new().with(|| download(Dataset::Mnist, Some(state)).to_html());
        let cancel = "action=\"/api/v1/datasets/mnist/download/cancel\"";
        let coming = Download::Coming { file: "images.gz", bytes: 1, total: 2 };
        for (state, can_be_cancelled) in
            [(Download::Begun, true), (coming, true), (Download::BeingRead, false), (Download::BeingCancelled, false)]
        {
            assert_eq!(html(&state).contains(cancel), can_be_cancelled, "{state:?}");
        }
        let sent = html(&Download::Sent { bytes: 17_000_000, total: Some(30_000_000) });
        assert!(sent.contains("Being sent: 17 MB of 30 MB has come.") && sent.contains("max=\"30000000\""), "{sent}");
        assert!(!sent.contains(cancel) && !html(&Download::Sent { bytes: 1, total: None }).contains("<progress"));
        let cancelled = html(&Download::Cancelled);
        for expected in ["What has come is kept", "Download MNIST", "/mnist/download\"", "/mnist/remove\""] {
            assert!(cancelled.contains(expected), "{expected} is not in {cancelled}");
        }
    }
}
