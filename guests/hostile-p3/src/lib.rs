//! A gallery of attacks by a handler of wasi:http 0.3, one path each.

mod answer;
mod compute;
mod hoard;
mod rules;

use answer::{Answer, HOUR, hold, respond, say};
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Request};
use wasip3::wit_bindgen::spawn_local;

struct Handler;

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Answer {
        let target = request.get_path_with_query().unwrap_or_default();
        let target = target.strip_prefix("/p3").unwrap_or(&target);
        match target.split('?').next().unwrap_or_default() {
            // Using up the processor.
            "/spin" => compute::spin(),
            "/spin-in-host" => compute::spin_in_host(),
            "/spin-in-yields" => compute::spin_in_yields().await,
            "/spin-in-random" => compute::spin_in_random(),
            "/spin-in-copies" => compute::spin_in_copies(),
            "/spin-in-a-task" => {
                spawn_local(async { compute::spin() });
                wait_for(HOUR).await;
                say("never")
            }
            "/spin-after" => respond("answered", async |sender| {
                drop(sender);
                compute::spin()
            }),
            "/spin-while-streaming" => respond("begun", async |_sender| compute::spin()),
            "/environment" => compute::environment(),
            "/recurse" => say(&compute::recurse(1).to_string()),
            "/sleep" => {
                wait_for(HOUR).await;
                say("never")
            }
            // Ending badly.
            "/panic" => panic!("this handler panics when asked to"),
            "/panic-after" => respond("the first half", async |_sender| panic!("in its body")),
            "/exit" => {
                wasip3::cli::exit::exit(Ok(()));
                say("never")
            }
            "/forged-handle" => rules::forged_handle(),
            "/error-code" => Err(ErrorCode::InternalError(Some("the log's alone".to_owned()))),
            // Taking what is scarce and keeping it.
            "/memory" => say(&hoard::memory().to_string()),
            "/streams" => hoard::streams(),
            "/futures" => hoard::futures(),
            "/fields" => hoard::fields(),
            "/responses" => hoard::responses(),
            "/thousand-left-open" => hoard::thousand_left_open(),
            "/tasks" => hoard::tasks().await,
            "/tasks-after" => respond("answered", async |sender| {
                drop(sender);
                wait_for(HOUR).await;
            }),
            "/requests" => hoard::requests(target).await,
            "/lookups" => hoard::lookups().await,
            "/files" => say(&hoard::files().await.1),
            "/hold-files" => hold(hoard::files().await),
            "/hold-listings" => hold(hoard::listings().await),
            "/hold-reads" => hold(hoard::reads().await),
            "/sockets" => say(&hoard::sockets().1),
            "/hold-sockets" => hold(hoard::sockets()),
            "/one-by-one" => say(&hoard::one_by_one().await),
            // Writing too much, or too little.
            "/log-flood" => hoard::log_flood().await,
            "/log-line" => hoard::log_line().await,
            "/endless" => {
                respond(
                    "",
                    async |mut sender| {
                        while sender.write_all(vec![b'x'; 64 << 10]).await.is_empty() {}
                    },
                )
            }
            "/stalled" => respond("begun", async |_sender| wait_for(HOUR).await),
            // Breaking the rules of HTTP.
            "/forbidden-headers" => rules::forbidden_headers(),
            "/malformed-headers" => rules::malformed_headers(),
            "/two-lengths" => rules::two_lengths(),
            "/huge-header" => rules::huge_header(),
            "/many-headers" => rules::many_headers(),
            "/hoard-headers" => rules::hoard_headers(),
            "/statuses" => rules::statuses(),
            "/continue" => rules::status(100),
            "/switching" => rules::status(101),
            "/early-hints" => rules::status(103),
            "/no-content" => rules::status(204),
            "/not-modified" => rules::status(304),
            "/long-body" => rules::long_body(),
            "/long-body-in-pieces" => rules::long_body_in_pieces(),
            "/short-body" => rules::short_body(),
            "/no-body" => rules::no_body(),
            "/passed-body" => rules::passed_body(request),
            "/forbidden-trailers" => rules::forbidden_trailers(),
            "/many-trailers" => rules::many_trailers(),
            "/failed-trailers" => rules::failed_trailers(),
            "/no-trailers" => rules::no_trailers(),
            "/late" => rules::late().await,
            "/hoard-body" => rules::hoard_body(request).await,
            "/unread-body" => say("not read"),
            _ => say("hello world"),
        }
    }
}

wasip3::http::service::export!(Handler);
