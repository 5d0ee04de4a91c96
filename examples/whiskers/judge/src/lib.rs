//! The judge: it judges each click by the rules, and keeps the score. It alone may open the database; who
//! wants to know the score asks it. All JSON is read and written by the database, which knows how.

mod click;
mod exchange;
mod mind;
mod news;
mod score;
mod store;
mod visitors;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

use click::Click;
use exchange::{Failure, Request};
use score::Score;

wit_bindgen::generate!({ path: "../wit", world: "judge", generate_all });

struct Judge;

impl Guest for Judge {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let request = Request::new(request);
        exchange::respond(out, answer(&request));
    }
}

/// `/clicks` is the only path with a route: the others are for the app's components.
fn answer(request: &Request) -> Result<String, Failure> {
    match (request.method(), request.path()) {
        ("POST", "/clicks") => clicked(request),
        (_, "/clicks") => Err(Failure::new(405, "a click is posted")),
        ("GET", "/state") => Score::open()?.state(),
        ("POST", "/meals") => meal(),
        _ => Err(Failure::new(404, "there is nothing here")),
    }
}

/// Counts a click, once, however often it comes.
fn clicked(request: &Request) -> Result<String, Failure> {
    let score = Score::open()?;
    let click = Click::read(request, score.store())?;
    let before = score.told(&click.id)?;
    let again = before.is_some();
    let told = match before {
        Some(told) => told,
        None => count(&score, &click, &request.visitor())?,
    };
    let cat = score.state()?;
    Ok(format!("{{\"told\":{told},\"again\":{again},\"cat\":{cat}}}"))
}

fn count(score: &Score, click: &Click, visitor: &str) -> Result<String, Failure> {
    visitors::admit(score.store(), visitor)?;
    // Asked for before anything is locked: most offers change the cat's mind.
    let next = mind::wish(score.store(), Some(score.cat()?.wish))?;
    let told = score.count(click, &next)?;
    // The click is in the database: who hears of it late hears it with the next.
    news::tell(&told);
    Ok(told)
}

/// Time passes: the cat gets hungrier, and what nobody needs any more is forgotten.
fn meal() -> Result<String, Failure> {
    let score = Score::open()?;
    score.meal()?;
    visitors::forget(score.store())?;
    news::tell("{}");
    score.state()
}

wasip2::http::proxy::export!(Judge);
