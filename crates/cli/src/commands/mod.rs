//! The commands, one file each.

mod add;
mod apps;
mod audit;
mod backup;
mod build;
mod call;
mod check;
mod compile;
mod completions;
mod componentize;
mod compose;
mod dead_letters;
mod deploy;
mod doctor;
mod domains;
mod env;
mod freeze;
mod login;
mod logout;
mod logs;
mod new;
mod optimize;
mod package;
pub(crate) mod prepare;
mod previews;
mod pull;
mod push;
mod queue;
mod releases;
mod resolve;
mod restore;
mod rollback;
mod run;
mod secrets;
mod send;
mod serve;
mod tenants;
mod test;
mod tokens;
mod up;
mod usage;
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
    Build(Box<build::Build>),
    Up(Box<up::Up>),
    Watch(Box<watch::Watch>),
    Check(check::Check),
    Test(test::Test),
    Run(run::Run),
    Call(call::Call),
    Resolve(resolve::Resolve),
    Componentize(componentize::Componentize),
    Freeze(freeze::Freeze),
    Compose(compose::Compose),
    Optimize(optimize::Optimize),
    Compile(compile::Compile),
    Package(package::Package),
    Push(push::Push),
    Pull(pull::Pull),
    Login(login::Login),
    Logout(logout::Logout),
    Serve(Box<serve::Serve>),
    Deploy(Box<deploy::Deploy>),
    Apps(apps::Apps),
    Releases(releases::Releases),
    Previews(previews::Previews),
    Rollback(rollback::Rollback),
    Env(env::Env),
    Secrets(secrets::Secrets),
    Domains(domains::Domains),
    Logs(logs::Logs),
    Usage(usage::Usage),
    Tokens(tokens::Tokens),
    Tenants(tenants::Tenants),
    Audit(audit::Audit),
    Backup(backup::Backup),
    Restore(restore::Restore),
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
            Self::Build(command) => command.run(),
            Self::Up(command) => command.run(),
            Self::Watch(command) => command.run(),
            Self::Check(command) => command.run(),
            Self::Test(command) => command.run(),
            Self::Run(command) => command.run(),
            Self::Call(command) => command.run(),
            Self::Resolve(command) => command.run(),
            Self::Componentize(command) => command.run(),
            Self::Freeze(command) => command.run(),
            Self::Compose(command) => command.run(),
            Self::Optimize(command) => command.run(),
            Self::Compile(command) => command.run(),
            Self::Package(command) => command.run(),
            Self::Push(command) => command.run(),
            Self::Pull(command) => command.run(),
            Self::Login(command) => command.run(),
            Self::Logout(command) => command.run(),
            Self::Serve(command) => command.run(),
            Self::Deploy(command) => command.run(),
            Self::Apps(command) => command.run(),
            Self::Releases(command) => command.run(),
            Self::Previews(command) => command.run(),
            Self::Rollback(command) => command.run(),
            Self::Env(command) => command.run(),
            Self::Secrets(command) => command.run(),
            Self::Domains(command) => command.run(),
            Self::Logs(command) => command.run(),
            Self::Usage(command) => command.run(),
            Self::Tokens(command) => command.run(),
            Self::Tenants(command) => command.run(),
            Self::Audit(command) => command.run(),
            Self::Backup(command) => command.run(),
            Self::Restore(command) => command.run(),
            Self::Queue(command) => command.run(),
            Self::Send(command) => command.run(),
            Self::DeadLetters(command) => command.run(),
            Self::Doctor(command) => command.run(),
            Self::Prepare(command) => command.run(),
            Self::Completions(command) => command.run(),
        }
    }
}
