//! The BPF object in this binary, and the programs loaded from it.

use std::path::PathBuf;

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    programs::{Program, ProgramError, SchedClassifier, Xdp},
};
use gateway_common::abi::name;

use super::{
    DatapathError, TableSizes,
    cause::VerifierLogTail,
    maps::SHAPES,
    pin::{self, GatewayDir},
};

/// The BPF object this library was built with; empty if that was done with `EIGW_EBPF_SKIP=1`.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway.o"));

/// Every program that is pinned, in the order in which that is done.
const PROGRAMS: [&str; 6] = [
    name::INGRESS_XDP,
    name::INGRESS_TC,
    name::EGRESS_TC,
    name::CLOCK,
    name::FORGET,
    name::RECLAIM,
];

/// The programs, accepted by the kernel's verifier.
pub(super) struct Programs {
    object: Ebpf,
}

impl Programs {
    /// Loads the programs. Maps that are pinned in `directory` are used, the others are made in
    /// the sizes given, with `overflow_slots` places for flows of hosts beyond their allowance,
    /// and pinned there.
    ///
    /// # Errors
    /// [`DatapathError::NoObject`], [`DatapathError::Object`], [`DatapathError::Verifier`] or
    /// [`DatapathError::Program`].
    pub(super) fn load(
        directory: &GatewayDir,
        sizes: TableSizes,
        overflow_slots: u32,
    ) -> Result<Self, DatapathError> {
        if OBJECT.is_empty() {
            return Err(DatapathError::NoObject);
        }
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries(name::HALF_OPEN, sizes.half_open_max)
            .map_max_entries(name::ESTABLISHED, sizes.established_max)
            .map_max_entries(name::OVERFLOW, overflow_slots)
            // Silent, and so free: the verifier removes what can never be logged.
            .override_global("AYA_LOG_LEVEL", &0_u8, true);
        for shape in &SHAPES {
            loader.map_pin_path(shape.name, directory.maps().join(shape.name));
        }
        let object = loader.load(OBJECT).map_err(|source| DatapathError::Object { source })?;
        let mut programs = Self { object };
        programs.xdp()?.load().map_err(refused(name::INGRESS_XDP))?;
        for classifier in PROGRAMS[1..].iter().copied().chain([name::SEED]) {
            programs.classifier(classifier)?.load().map_err(refused(classifier))?;
        }
        Ok(programs)
    }

    /// The XDP program for ingress.
    ///
    /// # Errors
    /// [`DatapathError::Program`] when the object has no such program.
    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, DatapathError> {
        self.program(name::INGRESS_XDP)?.try_into().map_err(finding(name::INGRESS_XDP))
    }

    /// One of the TC programs.
    ///
    /// # Errors
    /// [`DatapathError::Program`] when the object has no such program.
    pub(super) fn classifier(
        &mut self,
        program: &'static str,
    ) -> Result<&mut SchedClassifier, DatapathError> {
        self.program(program)?.try_into().map_err(finding(program))
    }

    /// The kernel's ids of the programs.
    pub(super) fn ids(&self) -> Vec<u32> {
        let programs = self.object.programs();
        programs.filter_map(|(_, program)| program.info().ok()).map(|info| info.id()).collect()
    }

    /// Pins every program, each in the place of its predecessor if there is one.
    ///
    /// # Errors
    /// [`DatapathError::Pin`] or [`DatapathError::Bpffs`].
    pub(super) fn pin(&mut self, directory: &GatewayDir) -> Result<(), DatapathError> {
        for name in PROGRAMS {
            let path = directory.program(name);
            let new_path = unfinished(directory, name);
            pin::remove_file(&new_path)?;
            self.program(name)?
                .pin(&new_path)
                .map_err(|source| DatapathError::Pin { path: new_path.clone(), source })?;
            std::fs::rename(&new_path, &path).map_err(|source| {
                // What keeps this from working may keep that as well; the cause is what matters.
                drop(pin::remove_file(&new_path));
                DatapathError::Bpffs { action: "replacing pin", path, source }
            })?;
        }
        Ok(())
    }

    /// Removes pins that an interrupted command had not yet put in the places of others.
    ///
    /// # Errors
    /// [`DatapathError::Bpffs`].
    pub(super) fn forget_unfinished(directory: &GatewayDir) -> Result<(), DatapathError> {
        PROGRAMS.iter().try_for_each(|name| pin::remove_file(&unfinished(directory, name)))
    }

    fn program(&mut self, name: &'static str) -> Result<&mut Program, DatapathError> {
        self.object
            .program_mut(name)
            .ok_or_else(|| finding(name)(ProgramError::UnexpectedProgramType))
    }
}

/// Where a program is pinned before it takes the place of its predecessor.
fn unfinished(directory: &GatewayDir, program: &str) -> PathBuf {
    directory.program(&format!("{program}+new"))
}

/// Wraps the verifier's refusal with the end of its log.
fn refused(program: &'static str) -> impl FnOnce(ProgramError) -> DatapathError {
    move |error| {
        if let ProgramError::LoadError { io_error, verifier_log } = error {
            let log = VerifierLogTail::of(&verifier_log.to_string());
            DatapathError::Verifier { program, source: io_error, log }
        } else {
            DatapathError::Program { action: "loading", program, source: error }
        }
    }
}

fn finding(program: &'static str) -> impl FnOnce(ProgramError) -> DatapathError {
    move |source| DatapathError::Program { action: "finding", program, source }
}
