//! Putting text on the clipboard.

use leptos::prelude::*;

/// Copies what stands in the element named `id`, and turns `copied` true once it lies on the clipboard. Where the browser does not
/// allow it, the text stays selected, so that a person can copy it with the keyboard.
#[cfg(feature = "hydrate")]
pub fn copy(id: &'static str, copied: RwSignal<bool>) {
    use wasm_bindgen::JsCast;
    let Some(element) = document().get_element_by_id(id) else { return };
    let text = match element.dyn_ref::<web_sys::HtmlInputElement>() {
        Some(input) => {
            input.select();
            input.value()
        }
        None => {
            if let Ok(Some(selection)) = window().get_selection() {
                // A refusal leaves nothing selected, which the person sees.
                let _ = selection.select_all_children(&element);
            }
            element.text_content().unwrap_or_default()
        }
    };
    // Only pages from this machine or over https have a clipboard to write to.
    if !window().is_secure_context() {
        let page = document().dyn_into::<web_sys::HtmlDocument>();
        copied.set(page.is_ok_and(|page| page.exec_command("copy").unwrap_or(false)));
        return;
    }
    let written = window().navigator().clipboard().write_text(&text);
    leptos::task::spawn_local(async move {
        let written = wasm_bindgen_futures::JsFuture::from(written).await;
        let _ = copied.try_set(written.is_ok());
    });
}

/// On the server there is no clipboard and nobody presses the button.
#[cfg(not(feature = "hydrate"))]
pub fn copy(id: &'static str, copied: RwSignal<bool>) {
    let _ = (id, copied);
}
