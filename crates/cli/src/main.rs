//! `imgembed`: embeds and compares images with TensorFlow Lite models.
//!
//! Results go to standard output; errors, and why a delegate was given up, to standard error as one
//! line each. The exit code is 0 for success, 1 for an error and 2 for wrong usage.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "native", feature = "tflite", feature = "litert", feature = "tract")))]
compile_error!(
    "imgembed needs a backend: enable one of the features native, tflite, litert and tract"
);

mod arguments;
mod backend;
mod compare;
mod embed;
mod explain;
mod failure;
mod inspect;
mod load;
mod metadata;
mod picture;
#[cfg(feature = "native")]
mod profile;

use std::any::Any;
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(message) = arguments.command.check() {
        Arguments::command().error(ErrorKind::ArgumentConflict, message).exit();
    }
    // A backend may panic and recover; standard error is for the one line of `report`.
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(|| run(&arguments))
        .unwrap_or_else(|panic| Err(Failure::Bug(panic_message(panic.as_ref()))));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has enough of it.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // With standard error closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "imgembed: error: {}", failure.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match &arguments.command {
        Command::Compare(arguments) => compare::run(arguments, &mut output)?,
        Command::Embed(arguments) => embed::run(arguments, &mut output)?,
        Command::Explain(arguments) => explain::run(arguments, &mut output)?,
        Command::Inspect(arguments) => inspect::run(arguments, &mut output)?,
        Command::Metadata(arguments) => metadata::run(arguments, &mut output)?,
        #[cfg(feature = "native")]
        Command::Profile(arguments) => profile::run(arguments, &mut output)?,
    }
    output.flush().map_err(Failure::Output)
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
    message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
