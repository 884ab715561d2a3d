//! Programs that do nothing: the floor below every figure.

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf, TestRun as _, TestRunOptions,
    programs::{SchedClassifier, Xdp},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// In the driver.
    Xdp,
    /// In the stack, either way.
    Tc,
}

impl Hook {
    const ALL: [Self; 2] = [Self::Xdp, Self::Tc];

    /// The program's name.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Xdp => "empty_xdp",
            Self::Tc => "empty_tc",
        }
    }

    /// The section that tells the loader what a program is.
    const fn section(self) -> &'static str {
        match self {
            Self::Xdp => "xdp.frags",
            Self::Tc => "classifier",
        }
    }

    /// What lets a packet pass: `XDP_PASS` and `TC_ACT_UNSPEC`.
    const fn pass(self) -> i32 {
        match self {
            Self::Xdp => 2,
            Self::Tc => -1,
        }
    }
}

/// An XDP and a TC program that let everything pass.
pub(crate) struct Empty {
    ebpf: Ebpf,
}

impl Empty {
    /// Loads both.
    ///
    /// # Errors
    /// If the kernel refuses them.
    pub(crate) fn load() -> Result<Self> {
        let object = object()?;
        let ebpf = Ebpf::load(&object).context("loading the empty programs")?;
        let mut empty = Self { ebpf };
        empty.xdp()?.load().context("loading the empty XDP program")?;
        empty.tc()?.load().context("loading the empty TC program")?;
        Ok(empty)
    }

    /// The XDP program.
    ///
    /// # Errors
    /// Never, since [`load`](Self::load) made it.
    pub(crate) fn xdp(&mut self) -> Result<&mut Xdp> {
        Ok(self.program(Hook::Xdp)?.try_into()?)
    }

    fn tc(&mut self) -> Result<&mut SchedClassifier> {
        Ok(self.program(Hook::Tc)?.try_into()?)
    }

    fn program(&mut self, hook: Hook) -> Result<&mut aya::programs::Program> {
        let name = hook.program();
        self.ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))
    }

    /// The mean time of one run, in nanoseconds as the kernel measures it (whole ones).
    ///
    /// # Errors
    /// If the kernel refuses to run it.
    pub(crate) fn run_ns(&mut self, hook: Hook, frame: &[u8], repeat: u32) -> Result<u128> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let result = match hook {
            Hook::Xdp => self.xdp()?.test_run(options),
            Hook::Tc => self.tc()?.test_run(options),
        };
        let result = result.with_context(|| format!("running {}", hook.program()))?;
        Ok(result.duration.as_nanos())
    }
}

/// An object file with both programs. Two instructions are not worth a crate of their own that
/// would need the toolchain for the BPF target.
fn object() -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    for hook in Hook::ALL {
        let code = code(hook.pass());
        let section = object.add_section(Vec::new(), hook.section().into(), SectionKind::Text);
        object.append_section_data(section, &code, 8);
        object.add_symbol(Symbol {
            name: hook.program().into(),
            value: 0,
            size: code.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    object.write().map_err(|error| anyhow!("writing an object file: {error}"))
}

/// `r0 = value; exit`, as the kernel's `struct bpf_insn` twice.
fn code(value: i32) -> Vec<u8> {
    const MOVE_IMMEDIATE: u8 = 0xb7;
    const EXIT: u8 = 0x95;
    let mut code = vec![MOVE_IMMEDIATE, 0, 0, 0];
    code.extend(value.to_le_bytes());
    code.extend([EXIT, 0, 0, 0, 0, 0, 0, 0]);
    code
}
