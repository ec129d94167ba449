//! Properties and linking of the trusted app.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tapvault_ta_build::with_arenas("7a9d1c7e-3f3a-4d0b-9a55-1f0c5f5e00c0", tapvault_ta_build::Memory::USUAL)
}
