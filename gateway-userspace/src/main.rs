//! `eigw`: reads the command line, has the work done, and decides the exit code.

use std::process::ExitCode;

use gateway_userspace::{
    cli::{Cli, Failure, Result},
    output::{self, Output},
};

/// What was asked for is done.
const DONE: u8 = 0;
/// The operation failed.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help for a reader that left is help enough.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_USAGE } else { DONE });
        }
    };
    let mut output = Output::stdout(cli.format());
    let result = cli.run(&mut output);
    if let Some(text) = result.as_ref().err().and_then(Failure::text) {
        output::tell(text);
    }
    ExitCode::from(code(&result))
}

const fn code(result: &Result<()>) -> u8 {
    match result {
        Ok(()) | Err(Failure::ReaderGone) => DONE,
        Err(Failure::Operation(_)) => FAILED,
        Err(Failure::Usage(_)) => BAD_USAGE,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use gateway_userspace::{datapath::DatapathError, settings::SettingsError};

    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_code() {
        let unreadable = SettingsError::Unreadable {
            path: "/etc/eigw/wan.toml".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        assert_eq!(code(&Ok(())), 0);
        assert_eq!(code(&Err(io::Error::from(io::ErrorKind::BrokenPipe).into())), 0);
        assert_eq!(code(&Err(io::Error::from(io::ErrorKind::StorageFull).into())), 1);
        assert_eq!(code(&Err(DatapathError::NoObject.into())), 1);
        assert_eq!(code(&Err(unreadable.into())), 2);
    }
}
