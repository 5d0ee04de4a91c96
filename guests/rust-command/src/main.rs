//! A command. Under CGI/1.1 (`GATEWAY_INTERFACE` is set) it answers with what it was given:
//! its variables and arguments, then its input. As a handler of events (`CE_ID` is set) it answers with
//! their data. Elsewhere its first argument chooses what it does.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let done = match () {
        () if is_set("GATEWAY_INTERFACE") => cgi(),
        () if is_set("CE_ID") => event(),
        () => command(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// One CGI request. The query chooses the answer: `status=N`, `location=URL`, `exit=N`,
/// `cat` (the input alone), `silent` (no answer at all), `headers` (bare line ends, a header twice).
fn cgi() -> Result<ExitCode> {
    let query = std::env::var("QUERY_STRING").unwrap_or_default();
    match query.split_once('=').unwrap_or((query.as_str(), "")) {
        ("status", code) => print!("Status: {code} Chosen\r\nContent-Type: text/plain\r\n\r\n{code}\n"),
        ("location", url) => print!("Location: {url}\r\n\r\n"),
        ("exit", code) => return exit(code),
        ("cat", _) => {
            print!("Content-Type: application/octet-stream\r\n\r\n");
            cat()?;
        }
        ("silent", _) => {}
        ("headers", _) => print!("Content-Type: text/plain\nX-Two: a\nX-Two: b\nStatus: 201\n\n"),
        _ => describe()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// All that the host handed over, one fact a line, then the input as it came.
fn describe() -> Result<()> {
    print!("Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
    for (number, argument) in std::env::args().enumerate() {
        println!("arg {number} {argument}");
    }
    environment();
    println!("input");
    cat()
}

/// An event: its data, in capitals, unless that tells to do something else.
fn event() -> Result<ExitCode> {
    let mut data = String::new();
    io::stdin().read_to_string(&mut data)?;
    match data.as_str() {
        "fail" => {
            println!("what a command writes that fails goes nowhere");
            return exit("3");
        }
        "env" => environment(),
        "args" => std::env::args().for_each(|argument| println!("{argument}")),
        text => print!("{}", text.to_uppercase()),
    }
    Ok(ExitCode::SUCCESS)
}

fn command() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => println!("hello world"),
        ["args", ..] => words.iter().for_each(|word| println!("{word}")),
        ["env"] => environment(),
        ["cat"] => cat()?,
        ["cat", path] => io::stdout().write_all(&std::fs::read(path)?)?,
        ["write", path, text] => std::fs::write(path, text)?,
        ["ls", folder] => list(folder)?,
        ["err", text] => eprintln!("{text}"),
        ["exit", code] => return exit(code),
        ["trap"] => panic!("this command panics when asked to"),
        ["spin"] => loop {
            std::hint::black_box(0);
        },
        _ => {
            eprintln!("usage: args … | env | cat [PATH] | write PATH TEXT | ls DIR | err TEXT | exit N | trap | spin");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn environment() {
    let mut lines: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    lines.sort();
    lines.iter().for_each(|line| println!("{line}"));
}

fn cat() -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut out = io::stdout().lock();
    loop {
        let length = io::stdin().read(&mut buffer)?;
        if length == 0 {
            return Ok(out.flush()?);
        }
        out.write_all(&buffer[..length])?;
    }
}

fn list(folder: &str) -> Result<()> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names.iter().for_each(|name| println!("{name}"));
    Ok(())
}

fn exit(code: &str) -> Result<ExitCode> {
    let code: i32 = code.parse()?;
    io::stdout().flush()?;
    std::process::exit(code)
}
