//! The page of data sets and teachers: what is here, and how more comes and goes.

mod download;

use self::download::download;
use crate::{
    laboratory::{Download, Laboratory},
    live::Live,
    numbers,
};
use leptos::prelude::*;
use leptos_meta::Title;
use std::collections::{BTreeMap, BTreeSet};
use study::{Dataset, DatasetFacts, DatasetSamples, ImportedTeacher, Machine, Unusable, cost::bytes_in_words};

/// The images that studies of this machine are trained and tested on.
#[component]
pub fn Data() -> impl IntoView {
    // Made on the server alone, as every page: it sees what the server sees.
    let laboratory: Laboratory = expect_context();
    let (samples, downloads) = (laboratory.samples.get(), laboratory.downloads.get());
    view! {
        <Title text="Data"/>
        <article class="page">
            <h1>"Data"</h1>
            <p class="lead">"What studies on this machine are trained and tested on, and teachers that were brought here."</p>
            {data_sets(&laboratory.machine.get(), &samples, &downloads, &laboratory.elsewhere)}
            <section class="panel how" aria-labelledby="own-heading">
                <h2 id="own-heading">"Images of your own"</h2>
                <p>
                    "A folder, or a .zip or .tar.gz of it, with "<code>"train/CLASS/…"</code>" and "<code>"test/CLASS/…"</code>" or "
                    <code>"val/CLASS/…"</code>" is a data set. Give it a name and a size in pixels: "
                    <code>"stillroom serve --dataset flowers@64=FOLDER"</code>
                    ", and ask for it in a study by that name. Pictures are scaled so that the shorter side has that size, and the middle is \
                     kept. Where there are both, "<code>"val"</code>" is held out for validation; else a tenth of "<code>"train"</code>" is."
                </p>
                {(laboratory.upload_limit > 0).then(|| upload(laboratory.upload_limit))}
            </section>
            <section class="panel how" id="teachers" aria-labelledby="teachers-heading">
                <h2 id="teachers-heading">"Teachers of your own"</h2>
                {teachers(&(laboratory.imported)())}
                {(laboratory.upload_limit > 0).then(bring)}
            </section>
        </article>
    }
}

fn published(between: &str) -> String {
    Dataset::PUBLISHED.map(String::from).join(between)
}

/// Why a data set cannot be trained on, without the marks of code.
pub(super) fn lacking(dataset: Dataset, reason: &str) -> String {
    format!("{dataset} {reason}.").replace('`', "")
}

/// How an archive of up to so many bytes is sent from the page.
fn upload(limit: u64) -> impl IntoView + use<> {
    view! {
        <p>
            "Or send the archive from here. It is kept as it is, and can be trained on once all of it was read. An archive of a data set \
             that is published goes by that name, such as "<code>"cifar-10"</code>
            {format!(". Archives may have up to {}.", bytes_in_words(limit))}
        </p>
        {sent_with(
            ("archive", "Archive", ".zip,.tar,.tgz,.tar.gz,.gz"),
            "/api/v1/datasets",
            vec![Text {
                name: "name",
                label: "Name",
                hint: format!("NAME@PIXELS, such as flowers@64; of a data set that is published its own: {}.", published(", ")),
                pattern: Some(format!("[a-z0-9][a-z0-9\\-]{{0,31}}@[0-9]{{1,3}}|{}", published("|"))),
            }],
            "Upload",
        )}
    }
}

/// A text field of a form. One with a pattern must be filled in.
struct Text {
    name: &'static str,
    label: &'static str,
    hint: String,
    pattern: Option<String>,
}

/// A form that sends a file: its name, label and endings. What is wrong with the fields is told before it was sent, so they come first.
fn sent_with(
    (file, file_label, endings): (&'static str, &'static str, &'static str),
    to: &'static str,
    fields: Vec<Text>,
    button: &'static str,
) -> impl IntoView {
    let text = |Text { name, label, hint, pattern }: Text| {
        let id = format!("{file}-{name}");
        let hint_id = format!("{id}-hint");
        view! {
            <label for=id.clone()>{label}</label>
            <input
                id=id
                type="text"
                name=name
                required=pattern.is_some()
                pattern=pattern
                autocomplete="off"
                aria-describedby=hint_id.clone()
            />
            <p class="hint" id=hint_id>{hint}</p>
        }
    };
    view! {
        <form class="upload" method="post" action=to enctype="multipart/form-data">
            {fields.into_iter().map(text).collect_view()}
            <label for=file>{file_label}</label>
            <input id=file name=file type="file" required accept=endings/>
            <button class="button quiet" type="submit">{button}</button>
        </form>
    }
}

/// Those that were brought here, each as a study names it.
fn teachers(imported: &[ImportedTeacher]) -> impl IntoView + use<> {
    let each = imported.iter().map(|teacher| {
        let images = if teacher.channels == 1 { "grey images" } else { "images in colour" };
        let of = format!(": {images}, {} classes, ", numbers::count(u64::from(teacher.classes)));
        let removal = teacher.network.imported.map(|digest| {
            let said = "Its file is removed for good. Where a study needs it, it stays.";
            remove(&teacher.name, format!("/api/v1/teachers/{digest}/remove"), said, "Remove this teacher")
        });
        view! {
            <li>
                {teacher.name.clone()}{of}<code>{format!("architecture = \"{}\"", teacher.network)}</code>
                {removal}
            </li>
        }
    });
    match imported {
        [] => view! { <p class="empty">"None was brought here yet."</p> }.into_any(),
        _ => view! { <ul class="brought">{each.collect_view()}</ul> }.into_any(),
    }
}

/// A button, and another one behind it that is meant: `what` goes by a plain form.
fn remove(what: &str, to: String, said: &'static str, button: &'static str) -> impl IntoView + use<> {
    view! {
        <details class="confirm">
            <summary class="button quiet" aria-label=format!("Remove {what}")>"Remove …"</summary>
            <div class="confirm-body">
                <p>{said}</p>
                <form method="post" action=to>
                    <button class="button danger" type="submit">{button}</button>
                </form>
            </div>
        </details>
    }
}

fn remove_data_set(dataset: Dataset) -> impl IntoView {
    let said = "Its files are removed for good. Where a study needs them, they stay.";
    let to = format!("/api/v1/datasets/{dataset}/remove");
    remove(&dataset.title(), to, said, "Remove this data set")
}

/// How a network that was trained elsewhere is sent from the page.
fn bring() -> impl IntoView {
    let text = |name: &'static str, label: &'static str, hint: &str| Text {
        name,
        label,
        hint: hint.to_owned(),
        pattern: None,
    };
    view! {
        <p>
            "A network that was trained elsewhere teaches like any other once its weights are here: a safetensors file with the names of the \
             model zoos, checked against its network, as "<code>"stillroom import-teacher"</code>" takes it. Of a file that "
            <code>"stillroom export"</code>" wrote only the file is needed."
        </p>
        {sent_with(
            ("weights", "Weights", ".safetensors"),
            "/api/v1/teachers",
            vec![
                text("architecture", "Network", "Such as wrn-40-2 or resnet32x4."),
                text("mean", "Mean", "What was taken off its images, by colour, of pixel values from 0 to 1: 0.4914,0.4822,0.4465."),
                text("deviation", "Deviation", "What they were divided by: 0.2470,0.2435,0.2616."),
                text("name", "Name", "What you call it; the file’s name where left empty."),
            ],
            "Bring this teacher",
        )}
    }
}

fn data_sets(
    machine: &Machine,
    samples: &[DatasetSamples],
    downloads: &BTreeMap<Dataset, Download>,
    elsewhere: &BTreeSet<Dataset>,
) -> impl IntoView + use<> {
    // What is built in, or lies where somebody said, is not removed from here.
    let is_ours = |dataset: Dataset| dataset != Dataset::FashionMnist12k && !elsewhere.contains(&dataset);
    let here = machine.datasets.iter().map(|facts| {
        let samples = samples.iter().find(|samples| samples.dataset == facts.dataset);
        data_set(facts, samples, is_ours(facts.dataset))
    });
    let here = here.collect_view();
    let missing = machine.unusable.iter().map(|Unusable { dataset, reason, found }| {
        // What needs no restart comes first.
        view! {
            <li class="card" id=dataset.to_string()>
                <h2>{dataset.title()}</h2>
                {Dataset::PUBLISHED.contains(dataset).then(|| download(*dataset, downloads.get(dataset)))}
                <p class="aside">{lacking(*dataset, reason)}</p>
                {(*found && is_ours(*dataset)).then(|| remove_data_set(*dataset))}
            </li>
        }
    });
    let missing = missing.collect_view();
    // Folders that are on their way stand in neither list.
    let known = |dataset: Dataset| {
        machine.unusable.iter().any(|it| it.dataset == dataset && Dataset::PUBLISHED.contains(&dataset))
    };
    let coming = downloads.iter().filter(|(dataset, _)| !known(**dataset)).map(|(dataset, far)| {
        view! { <li class="card"><h2>{dataset.title()}</h2> {download(*dataset, Some(far))}</li> }
    });
    let coming = coming.collect_view();
    // Whoever sends a file from here stays here until it has come.
    view! {
        <ul class="cards">{here} {missing} {coming}</ul>
        <Live/>
    }
}

fn data_set(facts: &DatasetFacts, samples: Option<&DatasetSamples>, is_ours: bool) -> impl IntoView + use<> {
    let title = match facts.dataset {
        Dataset::FashionMnist12k => "Fashion-MNIST, 12,000 images".to_owned(),
        dataset => dataset.title(),
    };
    let class_names = samples.map_or(&[][..], |samples| &samples.class_names[..]);
    let name_of = |class: u32| class_names.get(class as usize).cloned().unwrap_or_default();
    let (dataset, size) = (facts.dataset, facts.image_size);
    let pictures = samples.map_or(&[][..], |samples| &samples.samples[..]).iter().map(|sample| {
        let name = name_of(sample.class);
        view! {
            <li>
                <figure>
                    <img
                        src=format!("/data/{dataset}/{}.png", sample.class)
                        width=size
                        height=size * sample.images
                        loading="lazy"
                        alt=format!("{} of the class {name}", numbers::counted(u64::from(sample.images), "image"))
                    />
                    <figcaption>{name.clone()}</figcaption>
                </figure>
            </li>
        }
    });
    let pictures = pictures.collect_view();
    let all = (class_names.len() > pictures.len()).then(|| {
        view! {
            <details>
                <summary>{format!("All {} classes", class_names.len())}</summary>
                <p>{class_names.join(", ")}</p>
            </details>
        }
    });
    view! {
        <li class="card" id=dataset.to_string()>
            <h2>{title}</h2>
            <p>{split(facts)}</p>
            <p class="aside">
                {format!("{} · ", looks(facts))}<code>{format!("dataset = \"{dataset}\"")}</code>
            </p>
            <ul class="samples">{pictures}</ul>
            {all}
            {is_ours.then(|| remove_data_set(dataset))}
        </li>
    }
}

/// "12,000 images to train on, 5,000 held out for validation, 10,000 to test", as a study splits them unless it says otherwise.
fn split(facts: &DatasetFacts) -> String {
    let usual = facts.split(None).unwrap_or_else(|_| facts.clone());
    let [train, validation, test] =
        [usual.train, usual.validation, usual.test].map(|count| numbers::count(u64::from(count)));
    let validation = match usual.validation {
        0 => String::new(),
        _ => format!("{validation} held out for validation, "),
    };
    format!("{train} images to train on, {validation}{test} to test")
}

/// "10 classes, 28 × 28 pixels, grey".
fn looks(facts: &DatasetFacts) -> String {
    let colours = if facts.channels == 1 { "grey" } else { "in colour" };
    let classes = numbers::count(u64::from(facts.classes));
    format!("{classes} classes, {size} × {size} pixels, {colours}", size = facts.image_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(dataset: &str, train: u32, channels: u32) -> DatasetFacts {
        DatasetFacts {
            dataset: dataset.parse().expect("a data set"),
            checksum: "of the images".into(),
            classes: 10,
            channels,
            image_size: 28,
            train,
            validation: 0,
            test: 10_000,
        }
    }

    #[test]
    fn a_data_set_is_said_as_studies_split_it() {
        let whole = facts("mnist", 60_000, 1);
        assert_eq!(split(&whole), "55,000 images to train on, 5,000 held out for validation, 10,000 to test");
        assert_eq!(looks(&whole), "10 classes, 28 × 28 pixels, grey");
        let few = facts("mnist", 400, 3);
        assert_eq!(split(&few), "400 images to train on, 10,000 to test");
        assert_eq!(looks(&few), "10 classes, 28 × 28 pixels, in colour");
        let folder = DatasetFacts { validation: 40, ..facts("flowers@28", 360, 3) };
        assert_eq!(split(&folder), "360 images to train on, 40 held out for validation, 10,000 to test");
    }

    #[test]
    fn what_is_built_in_or_lies_elsewhere_has_no_button_that_removes_it() {
        let html = |is_ours: bool| Owner::new().with(|| data_set(&facts("mnist", 400, 1), None, is_ours).to_html());
        assert!(html(true).contains("action=\"/api/v1/datasets/mnist/remove\"") && html(true).contains("<details"));
        assert!(!html(false).contains("remove"));
    }
}
