//! A command of WASI 0.3, by its own interfaces and not the standard library's. Under CGI/1.1 it
//! answers with what it was given; elsewhere its first argument chooses what it does.

mod files;
mod machine;
mod net;
mod output;

use output::{copy, print};
use wasip3::cli::{environment, exit, stdin};

/// What a failure says on standard error; the host's errors are in it by their own names.
type Outcome = Result<(), String>;

struct Command;

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        let variables = environment::get_environment();
        let is_cgi = variables.iter().any(|(name, _)| name == "GATEWAY_INTERFACE");
        let done = if is_cgi { cgi(&variables).await } else { command(&variables).await };
        match done {
            Ok(()) => Ok(()),
            Err(error) => {
                output::complain(&format!("error: {error}\n")).await;
                Err(())
            }
        }
    }
}

wasip3::cli::command::export!(Command);

/// All that the host handed over, one fact a line, then the input as it came.
async fn cgi(variables: &[(String, String)]) -> Outcome {
    let mut text = "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n".to_owned();
    for (number, argument) in environment::get_arguments().iter().enumerate() {
        text += &format!("arg {number} {argument}\n");
    }
    text += &lines(variables);
    text += "input\n";
    let (input, _) = stdin::read_via_stream();
    copy(text.into_bytes(), input).await
}

fn lines(variables: &[(String, String)]) -> String {
    variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

async fn command(variables: &[(String, String)]) -> Outcome {
    let arguments = environment::get_arguments();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        [] => print("hello world\n").await,
        ["args", ..] => print(&(words.join("\n") + "\n")).await,
        ["env"] => print(&lines(variables)).await,
        ["machine"] => machine::facts().await,
        ["exit", words @ ..] => leave(words.is_empty()),
        ["cat"] => copy(Vec::new(), stdin::read_via_stream().0).await,
        ["cat", path] => files::cat(path).await,
        ["write", path, text] => files::write(path, text).await,
        ["append", path, text] => files::append(path, text).await,
        ["stat", path] => files::stat(path).await,
        [what @ ("mkdir" | "rmdir" | "rm"), path] => files::change(what, path, "").await,
        [what @ ("mv" | "ln" | "symlink"), path, other] => files::change(what, path, other).await,
        ["ls", folder] => files::list(folder).await,
        ["open", path, times] => files::open(path, times).await,
        ["tcp", address, text] => net::tcp(address, text).await,
        ["udp", address, text] => net::udp(address, text).await,
        ["resolve", name] => net::resolve(name).await,
        ["sockets", times] => net::sockets(times).await,
        _ => Err("usage: args … | env | machine | exit [failure] | cat [PATH] | write PATH TEXT | append PATH TEXT | ls DIR | open PATH N | \
                  stat PATH | mkdir DIR | rmdir DIR | rm PATH | mv PATH PATH | ln PATH PATH | \
                  symlink TEXT PATH | tcp ADDRESS TEXT | udp ADDRESS TEXT | resolve NAME | sockets N"
            .to_owned()),
    }
}

/// Ends at once, as a success or a failure.
fn leave(is_success: bool) -> Outcome {
    exit::exit(if is_success { Ok(()) } else { Err(()) });
    Err("the host did not end the command".to_owned())
}
