//! Properties and linking of the trusted app.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tapvault_ta_build::with_arenas(tapvault_ta_build::TVM_IMAGE, tapvault_ta_build::Memory::USUAL)
}
