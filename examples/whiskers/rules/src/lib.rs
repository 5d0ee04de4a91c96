//! The rules of the game: numbers in, numbers out. It has no memory to manage and imports nothing, so the
//! browser needs nothing but this to play.
#![no_std]

wit_bindgen::generate!({ path: "../wit", world: "referee" });

use exports::whiskers::game::rules::{Cat, Guest, Reply, Treat, Verdict};

/// A cat as hungry as this takes anything.
const STARVING: u8 = 5;

/// A cat as hungry as this is grateful: its treats count twice.
const HUNGRY: u8 = 4;

/// A cat that turned down so many offers wants something else.
const PATIENCE: u8 = 2;

/// So many treats in a row give one point more, up to [`MOST_EXTRA`].
const ROW: u32 = 3;
const MOST_EXTRA: u32 = 3;

struct Rules;

impl Guest for Rules {
    fn judge(cat: Cat, offered: Treat) -> Verdict {
        let right = cat.wish == offered;
        match cat.hunger {
            0 => turned_down(&cat, Reply::Blinks),
            _ if right => taken(&cat, Reply::Purrs, worth(&cat)),
            STARVING.. => taken(&cat, Reply::Gobbles, 1),
            _ if cat.refused + 1 < PATIENCE => turned_down(&cat, Reply::Sniffs),
            _ => turned_down(&cat, Reply::TurnsAway),
        }
    }

    fn hungrier(hunger: u8, meals: u8) -> u8 {
        hunger.saturating_add(meals).min(STARVING)
    }
}

/// What is left of the three points after each wrong offer, and what a hungry cat and a row of treats add.
fn worth(cat: &Cat) -> u32 {
    let left = 3_u32.saturating_sub(cat.refused.into()).max(1);
    let thanks = if cat.hunger >= HUNGRY { 2 } else { 1 };
    left * thanks + (cat.streak / ROW).min(MOST_EXTRA)
}

fn taken(cat: &Cat, reply: Reply, points: u32) -> Verdict {
    Verdict {
        reply,
        taken: true,
        points,
        changes_its_mind: true,
        hunger: cat.hunger - 1,
        refused: 0,
        streak: cat.streak.saturating_add(1),
    }
}

/// Who wakes a cat makes it a little hungry.
fn turned_down(cat: &Cat, reply: Reply) -> Verdict {
    let changes_its_mind = matches!(reply, Reply::TurnsAway);
    let asleep = matches!(reply, Reply::Blinks);
    Verdict {
        reply,
        taken: false,
        points: 0,
        changes_its_mind,
        hunger: cat.hunger + u8::from(asleep),
        refused: if changes_its_mind || asleep { 0 } else { cat.refused.saturating_add(1) },
        streak: if asleep { cat.streak } else { 0 },
    }
}

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

export!(Rules);
