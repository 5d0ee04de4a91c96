//! The commands, one file each.

mod add;
mod call;
mod check;
mod compile;
mod completions;
mod dead_letters;
mod doctor;
mod freeze;
mod login;
mod logout;
mod new;
pub(crate) mod prepare;
mod pull;
mod push;
mod queue;
mod run;
mod send;
mod serve;
mod up;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

#[cfg(fuzzing)]
pub use call::arguments;

#[derive(Subcommand)]
pub(crate) enum Command {
    New(new::New),
    Add(add::Add),
    Up(Box<up::Up>),
    Watch(Box<watch::Watch>),
    Check(check::Check),
    Run(run::Run),
    Call(call::Call),
    Compile(compile::Compile),
    Freeze(freeze::Freeze),
    Push(push::Push),
    Pull(pull::Pull),
    Login(login::Login),
    Logout(logout::Logout),
    Serve(Box<serve::Serve>),
    Queue(queue::Queue),
    Send(send::Send),
    DeadLetters(dead_letters::DeadLetters),
    Doctor(doctor::Doctor),
    Prepare(prepare::Prepare),
    Completions(completions::Completions),
}

impl Command {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::New(command) => command.run(),
            Self::Add(command) => command.run(),
            Self::Up(command) => command.run(),
            Self::Watch(command) => command.run(),
            Self::Check(command) => command.run(),
            Self::Run(command) => command.run(),
            Self::Call(command) => command.run(),
            Self::Compile(command) => command.run(),
            Self::Freeze(command) => command.run(),
            Self::Push(command) => command.run(),
            Self::Pull(command) => command.run(),
            Self::Login(command) => command.run(),
            Self::Logout(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Queue(command) => command.run(),
            Self::Send(command) => command.run(),
            Self::DeadLetters(command) => command.run(),
            Self::Doctor(command) => command.run(),
            Self::Prepare(command) => command.run(),
            Self::Completions(command) => command.run(),
        }
    }
}
