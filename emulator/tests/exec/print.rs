//! What kernels print, and assertions.

use super::machine::{Machine, assert_kind, kernel};
use cuda_emulator::exec::Settings;
use cuda_emulator::fault::FaultKind;

/// A string constant.
fn text(name: &str, text: &str) -> String {
    let bytes: Vec<String> = text.bytes().chain([0]).map(|b| b.to_string()).collect();
    format!(".global .align 1 .b8 {name}[{}] = {{{}}};\n", bytes.len(), bytes.join(", "))
}

/// Prints the thread, the block and a double, the way nvcc calls `vprintf`.
fn printing() -> String {
    let body = ".local .align 8 .b8 depot[16];\n .reg .b64 %SP;\n mov.u64 %rd5, depot;\n cvta.local.u64 %SP, %rd5;\n \
        st.local.u32 [%rd5], %r1;\n st.local.u32 [%rd5+4], %r2;\n mov.f64 %d, 0d3FF8000000000000;\n \
        st.local.f64 [%rd5+8], %d;\n mov.u64 %rd6, format;\n cvta.global.u64 %rd7, %rd6;\n {\n .param .b64 p0;\n \
        st.param.b64 [p0], %rd7;\n .param .b64 p1;\n st.param.b64 [p1], %SP;\n .param .b32 q;\n \
        call.uni (q), vprintf, (p0, p1);\n ld.param.b32 %r0, [q];\n }";
    let body = format!(".reg .f64 %d;\n {body}");
    format!(
        ".extern .func (.param .b32 ret) vprintf(.param .b64 a, .param .b64 b);\n{}{}",
        text("format", "thread %d of block %2d: %.2f\n"),
        kernel("k", &body)
    )
}

#[test]
fn kernels_print_in_the_order_of_blocks() {
    for threads in [1, 3] {
        let settings = Settings { threads, ..Settings::default() };
        let machine = Machine::with(settings, &printing());
        let (words, _) = machine.run("k", 12, 2);
        assert_eq!(words, vec![3; 24], "vprintf gives the number of its arguments");
        let expected: String =
            (0..24).map(|t| format!("thread {} of block {:2}: 1.50\n", t % 2, t / 2)).collect();
        assert_eq!(machine.printed(), expected);
    }
}

#[test]
fn a_failed_assertion_says_where() {
    let body = "setp.ne.u32 %p1, %r1, 5;\n @%p1 bra FINE;\n mov.u64 %rd5, message;\n mov.u64 %rd6, file;\n mov.u64 %rd7, where;\n \
        {\n .param .b64 p0;\n st.param.b64 [p0], %rd5;\n .param .b64 p1;\n st.param.b64 [p1], %rd6;\n .param .b32 p2;\n \
        st.param.b32 [p2], 42;\n .param .b64 p3;\n st.param.b64 [p3], %rd7;\n .param .b64 p4;\n st.param.b64 [p4], 1;\n \
        call.uni __assertfail, (p0, p1, p2, p3, p4);\n }\n FINE:";
    let ptx = format!(
        ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e);\n{}{}{}{}",
        text("message", "x < 5"),
        text("file", "a.cu"),
        text("where", "f(int)"),
        kernel("k", body)
    );
    let fault = Machine::new(&ptx).fault("k", 1, 32);
    assert_kind(&fault, FaultKind::Trap);
    assert_eq!(fault.thread, [5, 0, 0]);
    assert_eq!(fault.detail, "a.cu:42: f(int): assertion `x < 5` failed");
}

#[test]
fn endless_output_is_cut() {
    let endless = printing().replace("ld.param.b32 %r0, [q];\n }", "ld.param.b32 %r0, [q];\n }\n bra AGAIN;");
    let endless = endless.replace("mov.u64 %rd6, format;", "AGAIN: mov.u64 %rd6, format;");
    let settings = Settings { instruction_limit: Some(200_000), ..Settings::default() };
    let machine = Machine::with(settings, &endless);
    assert_kind(&machine.fault("k", 1, 32), FaultKind::Timeout);
    let printed = machine.printed();
    assert!(printed.ends_with("(the rest of what this block prints is dropped)\n"));
    assert!((1 << 20..2 << 20).contains(&printed.len()), "{}", printed.len());
}

#[test]
fn memory_from_the_heap() {
    let body = "{\n .param .b64 p0;\n st.param.b64 [p0], 16;\n .param .b64 q;\n call.uni (q), malloc, (p0);\n \
        ld.param.b64 %rd5, [q];\n }\n st.u32 [%rd5+4], %r4;\n ld.u32 %r0, [%rd5+4];\n {\n .param .b64 p0;\n \
        st.param.b64 [p0], %rd5;\n call.uni free, (p0);\n }";
    let declared =
        ".extern .func (.param .b64 ret) malloc(.param .b64 a);\n.extern .func free(.param .b64 a);\n";
    let machine = Machine::new(&format!("{declared}{}", kernel("k", body)));
    assert_eq!(machine.run("k", 2, 40).0, (0..80).collect::<Vec<u32>>());
    // Freed twice.
    let twice = body.replace("call.uni free, (p0);", "call.uni free, (p0);\n call.uni free, (p0);");
    let fault = Machine::new(&format!("{declared}{}", kernel("k", &twice))).fault("k", 1, 1);
    assert_kind(&fault, FaultKind::OutOfBounds);
}
