//! Functions with types of every kind, for `dayfly call`.

use exports::dayfly::test::math::{Figure, Guest as Math, Permissions, Person, Season};

wit_bindgen::generate!({ path: "wit", world: "typed" });

struct Typed;

impl Guest for Typed {
    fn version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    async fn double_later(number: u32) -> u32 {
        number * 2
    }
}

impl Math for Typed {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn greet(person: Person) -> Result<String, String> {
        match (person.name.as_str(), person.age) {
            ("", _) => Err("whom?".to_owned()),
            (name, None) => Ok(format!("hello {name}")),
            (name, Some(age)) => Ok(format!("hello {name}, {age}")),
        }
    }

    fn areas(figures: Vec<Figure>) -> Vec<f64> {
        figures.into_iter().map(area).collect()
    }

    fn sum(numbers: Vec<i64>) -> i64 {
        numbers.iter().sum()
    }

    fn next(after: Season) -> Season {
        match after {
            Season::Spring => Season::Summer,
            Season::Summer => Season::Autumn,
            Season::Autumn => Season::Winter,
            Season::Winter => Season::Spring,
        }
    }

    fn invert(granted: Permissions) -> Permissions {
        !granted
    }

    fn split(text: String) -> Option<(char, String)> {
        let first = text.chars().next()?;
        Some((first, text[first.len_utf8()..].to_owned()))
    }

    fn ping() {}

    fn fail(reason: String) {
        panic!("{reason}")
    }

    fn spin() {
        loop {
            std::hint::black_box(0);
        }
    }
}

fn area(figure: Figure) -> f64 {
    match figure {
        Figure::Circle(radius) => std::f64::consts::PI * radius * radius,
        Figure::Rectangle((width, height)) => width * height,
        Figure::Nothing => 0.0,
    }
}

export!(Typed);
