use super::refused;
use crate::{api, numbers, problem::Problem};
use leptos::prelude::*;
use leptos_meta::Title;
use study::Share;

/// The owner's list of shared links.
#[component]
pub fn Shares() -> impl IntoView {
    let revoke = ServerAction::<api::RevokeShare>::new();
    view! {
        <Title text="Shared links"/>
        <article class="page">
            <h1>"Shared links"</h1>
            <p class="lead">
                "Each opens a comparison as it stood when it was shared, for whoever has the link. The link itself is not kept here, \
                 only its digest: it was shown once, when it was made. To have it again, share the study again."
            </p>
            {refused(revoke).map(|error| view! { <Problem error=error/> })}
            <Suspense>
                {Suspend::new(async move {
                    match api::list_shares().await {
                        Ok(shares) if shares.is_empty() => view! {
                            <p class="empty">"Nothing is shared. A study’s page has a button for it."</p>
                        }
                        .into_any(),
                        Ok(shares) => list(shares, revoke).into_any(),
                        Err(error) => view! { <Problem error=error/> }.into_any(),
                    }
                })}
            </Suspense>
        </article>
    }
}

fn list(shares: Vec<Share>, revoke: ServerAction<api::RevokeShare>) -> impl IntoView {
    let rows = shares.into_iter().map(|share| {
        let title = match share.study {
            Some(study) => view! { <a href=format!("/studies/{study}")>{share.title.clone()}</a> }.into_any(),
            None => view! { {share.title.clone()} <span class="aside">" (study deleted)"</span> }.into_any(),
        };
        let end = match (share.revoked_at, share.expires_at) {
            (Some(at), _) => {
                view! { <span class="aside">{format!("revoked {}", numbers::moment(at))}</span> }.into_any()
            }
            (None, expires) => {
                let label = format!("Revoke the link to “{}”", share.title);
                view! {
                    <details class="confirm">
                        <summary class="button quiet" aria-label=label>"Revoke …"</summary>
                        <div class="confirm-body">
                            <p>"It opens nothing from then on, for good."</p>
                            <ActionForm action=revoke>
                                <input type="hidden" name="id" value=share.id.to_string()/>
                                <button class="button danger" type="submit">"Revoke this link"</button>
                            </ActionForm>
                        </div>
                    </details>
                    {expires.map(|at| view! { <span class="aside">{format!("until {}", numbers::moment(at))}</span> })}
                }
                .into_any()
            }
        };
        view! {
            <tr role="row">
                <th role="rowheader" scope="row">{title}</th>
                <td role="cell" data-label="Shared">{numbers::moment(share.created_at)}</td>
                <td role="cell" data-label="Last opened">{share.last_opened_at.map_or("not yet".to_owned(), numbers::moment)}</td>
                <td role="cell" data-label="Link">{end}</td>
            </tr>
        }
    });
    view! {
        <div class="scrolled panel" role="region" aria-label="Shared links" tabindex="0">
            <table role="table" class="stacked">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Comparison"</th>
                        <th role="columnheader" scope="col">"Shared"</th>
                        <th role="columnheader" scope="col">"Last opened"</th>
                        <th role="columnheader" scope="col">"Link"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
