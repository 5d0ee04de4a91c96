use super::*;

const CALM: Lane = Lane { component: 1, max_wait: Duration::from_secs(60) };

/// What a guest uses before it is interrupted.
const SLICE: Duration = Duration::from_millis(1);

fn poll(place: &mut Place) -> Poll<Result<(), TooSlow>> {
    place.poll((Share::WHOLE, false), &mut Context::from_waker(Waker::noop()))
}

fn may_run(place: &mut Place) -> bool {
    poll(place) == Poll::Ready(Ok(()))
}

fn nothing_is_left() {
    CORE.with(|core| {
        let state = core.state();
        assert_eq!(state.begun, 0);
        assert!(state.lines.are_empty() && state.holder.is_none());
    });
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_was_interrupted_goes_on_before_others_begin() {
    let (mut first, mut second) = (Place::Fresh(CALM), Place::Fresh(CALM));
    assert!(may_run(&mut first));
    first.polled(true, false, (Share::WHOLE, SLICE), Waker::noop());
    assert!(!may_run(&mut second));
    assert!(may_run(&mut first));
    first.polled(false, false, (Share::WHOLE, SLICE), Waker::noop());
    assert!(may_run(&mut second), "the first one waits for something else, or is done");
    drop((first, second));
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn turns_go_around_among_components() {
    let mut running = Place::Fresh(CALM);
    assert!(may_run(&mut running));
    running.polled(true, false, (Share::WHOLE, SLICE), Waker::noop());
    let mut many: Vec<_> = (0..10).map(|_| Place::Fresh(CALM)).collect();
    assert!(!many.iter_mut().any(may_run));
    let mut other = Place::Fresh(Lane { component: 2, ..CALM });
    assert!(!may_run(&mut other));
    drop(running);
    let mut before = 0;
    while !may_run(&mut other) {
        before += 1;
        let next = many.iter_mut().position(may_run).expect("somebody's turn");
        drop(many.remove(next));
    }
    assert_eq!(before, 1);
    drop((many, other));
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn long_ones_take_turns_and_hold_no_short_one_up() {
    let mut long: Vec<_> = (0..3).map(|_| Place::Free).collect();
    for place in &mut long {
        place.polled(true, true, (Share::WHOLE, SLICE), Waker::noop());
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        // Whoever has its turn takes a breath first.
        let turn = (0..2).find_map(|_| long.iter_mut().position(may_run));
        let turn = turn.expect("somebody's turn");
        order.push(turn);
        let mut short = Place::Fresh(CALM);
        assert!(may_run(&mut short));
        long[turn].polled(true, true, (Share::WHOLE, SLICE), Waker::noop());
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    drop(long);
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn a_turn_that_is_not_taken_holds_nobody_up_for_long() {
    for in_no_hurry in [false, true] {
        let mut lazy = Place::Free;
        lazy.polled(true, in_no_hurry, (Share::WHOLE, SLICE), Waker::noop());
        let mut other = if in_no_hurry { Place::Free } else { Place::Fresh(CALM) };
        assert!(in_no_hurry || !may_run(&mut other));
        let going_on = std::future::poll_fn(|cx| other.poll((Share::WHOLE, in_no_hurry), cx));
        tokio::time::timeout(Duration::from_secs(20), going_on).await.unwrap().unwrap();
        drop((lazy, other));
        nothing_is_left();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_turn_that_is_not_taken_is_waited_for_once() {
    let mut lazy = Place::Free;
    lazy.polled(true, true, (Share::WHOLE, SLICE), Waker::noop());
    let mut others = [Place::Free, Place::Free];
    for place in &mut others {
        place.polled(true, true, (Share::WHOLE, SLICE), Waker::noop());
    }
    std::future::poll_fn(|cx| others[0].poll((Share::WHOLE, true), cx)).await.unwrap();
    for round in 0..6 {
        others[round % 2].polled(true, true, (Share::WHOLE, SLICE), Waker::noop());
        let next = &mut others[(round + 1) % 2];
        assert!(may_run(next) || may_run(next), "its turn, and it took a breath");
    }
    assert!(!may_run(&mut lazy), "it stands in the line again");
    drop(others);
    assert!(may_run(&mut lazy) || may_run(&mut lazy));
    drop(lazy);
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn those_that_nobody_polls_are_waited_for_by_nobody() {
    let mut places: Vec<_> = (0..100).map(|_| Place::Free).collect();
    for place in &mut places {
        place.polled(true, true, (Share::WHOLE, SLICE), Waker::noop());
    }
    std::thread::sleep(STANDSTILL * 3);
    let (first, rest) = places.split_first_mut().unwrap();
    let last = rest.last_mut().unwrap();
    assert!(!may_run(last), "somebody has the turn");
    assert!(may_run(first) || may_run(first));
    first.polled(false, true, (Share::WHOLE, SLICE), Waker::noop());
    assert!(may_run(last) || may_run(last), "all others stood in the line before it");
    drop(places);
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn turns_of_long_ones_keep_nobody_from_beginning() {
    let mut stuck = Place::Free;
    stuck.polled(true, false, (Share::WHOLE, SLICE), Waker::noop());
    let mut fresh = Place::Fresh(CALM);
    let mut long = [Place::Free, Place::Free];
    let taking_turns = async {
        for round in 0.. {
            long[round % 2].polled(true, true, (Share::WHOLE, SLICE), Waker::noop());
            let _ = may_run(&mut long[(round + 1) % 2]);
            tokio::time::sleep(STANDSTILL / 10).await;
        }
    };
    let beginning = std::future::poll_fn(|cx| fresh.poll((Share::WHOLE, false), cx));
    let beginning = tokio::time::timeout(Duration::from_secs(20), beginning);
    tokio::select! {
        () = taking_turns => unreachable!(),
        began = beginning => began.unwrap().unwrap(),
    }
    drop((stuck, fresh, long));
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn what_would_wait_for_too_long_is_refused() {
    let hasty = Lane { max_wait: Duration::from_millis(5), ..CALM };
    let mut running = Place::Free;
    running.polled(true, false, (Share::WHOLE, SLICE), Waker::noop());
    let mut first = Place::Fresh(hasty);
    assert!(!may_run(&mut first));
    std::thread::sleep(Duration::from_millis(10));
    let mut second = Place::Fresh(hasty);
    assert_eq!(poll(&mut second), Poll::Ready(Err(TooSlow)));
    let mut other = Place::Fresh(Lane { component: 2, ..hasty });
    assert!(poll(&mut other).is_pending(), "another component's line is short");
    drop((running, second, other));
    assert!(may_run(&mut first));
    drop(first);
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_has_answered_holds_nobody_up() {
    let mut answered = Place::Free;
    answered.polled(true, false, (Share::WHOLE, SLICE), Waker::noop());
    answered.answered();
    assert!(may_run(&mut Place::Fresh(CALM)));
    drop(answered);
    nothing_is_left();
}

/// The share of a tenant of that weight.
fn tenant(weight: u32) -> Share {
    let quotas = dayfly_model::platform::Quotas { weight, ..Default::default() };
    // Kept for as long as the process: its address is what tells it from others.
    Share::of(Box::leak(Box::new(dayfly_capabilities::Account::new("a", &quotas))))
}

/// How many of so many slices guests of two tenants get who compute for long.
fn slices((one, guests): (Share, usize), (other, others): (Share, usize), slices: usize) -> usize {
    let shares = std::iter::repeat_n(one, guests).chain(std::iter::repeat_n(other, others));
    let mut all: Vec<_> = shares.map(|share| (share, Place::Free)).collect();
    for (share, place) in &mut all {
        place.polled(true, true, (*share, Duration::ZERO), Waker::noop());
    }
    let mut first = 0;
    for _ in 0..slices {
        let mut may_run = |(share, place): &mut (Share, Place)| {
            let polled = place.poll((*share, true), &mut Context::from_waker(Waker::noop()));
            polled == Poll::Ready(Ok(()))
        };
        // Whoever has its turn takes a breath first.
        let turn = (0..2).find_map(|_| all.iter_mut().position(&mut may_run));
        let (share, place) = &mut all[turn.expect("somebody's turn")];
        first += usize::from(*share == one);
        place.polled(true, true, (*share, SLICE), Waker::noop());
    }
    drop(all);
    nothing_is_left();
    first
}

#[tokio::test(flavor = "current_thread")]
async fn tenants_compute_by_their_weights_however_many_guests_they_have() {
    let (many, few, heavy) = (tenant(100), tenant(100), tenant(300));
    let equal = slices((many, 10), (few, 1), 100);
    assert!((49..=51).contains(&equal), "{equal}");
    let less = slices((many, 10), (heavy, 1), 100);
    assert!((24..=26).contains(&less), "{less}");
}

#[tokio::test(flavor = "current_thread")]
async fn one_of_a_tenant_that_has_had_nothing_begins_before_all_of_another() {
    let (flood, quiet) = (tenant(100), tenant(100));
    let poll = |share: Share, place: &mut Place| {
        let polled = place.poll((share, false), &mut Context::from_waker(Waker::noop()));
        polled == Poll::Ready(Ok(()))
    };
    let mut running = Place::Fresh(CALM);
    assert!(poll(flood, &mut running));
    running.polled(true, false, (flood, SLICE), Waker::noop());
    // Of many components, as if each were somebody else's.
    let lane = |component| Place::Fresh(Lane { component, ..CALM });
    let mut many: Vec<_> = (10..60).map(lane).collect();
    assert!(!many.iter_mut().any(|place| poll(flood, place)));
    let mut one = Place::Fresh(Lane { component: 2, ..CALM });
    assert!(!poll(quiet, &mut one));
    drop(running);
    assert!(poll(quiet, &mut one), "the next turn is its");
    drop((one, many));
    nothing_is_left();
}

#[tokio::test(flavor = "current_thread")]
async fn where_there_is_not_time_for_all_they_begin_in_turn() {
    let (flood, quiet) = (tenant(100), tenant(100));
    let begin = |share: Share| {
        let mut place = Place::Fresh(CALM);
        place.line_up(share, Waker::noop()).unwrap();
        place
    };
    let run = |share: Share, place: &mut Place| {
        let polled = place.poll((share, false), &mut Context::from_waker(Waker::noop()));
        polled == Poll::Ready(Ok(()))
    };
    let mut many: Vec<_> = (0..10).map(|_| begin(flood)).collect();
    assert!(many[0].is_first() && !many[1..].iter().any(Place::is_first));
    assert!(run(flood, &mut many[0]) && !run(flood, &mut many[1]));
    many[0].polled(false, false, (flood, SLICE), Waker::noop());
    let mut one = begin(quiet);
    // It came behind the second's turn, and before those of all others.
    assert!(run(flood, &mut many[1]) && !run(quiet, &mut one));
    many[1].polled(false, false, (flood, SLICE), Waker::noop());
    assert!(run(quiet, &mut one) && !many[2..].iter_mut().any(|place| run(flood, place)));
    drop((one, many));
    nothing_is_left();
}
