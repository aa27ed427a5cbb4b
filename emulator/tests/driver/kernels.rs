//! PTX of the programs.

/// `y[i] = a · x[i] + y[i]`.
pub const AXPY: &str = r#"
.version 8.0
.target sm_80
.address_size 64
.visible .entry axpy(.param .f32 a, .param .u64 x, .param .u64 y, .param .u32 n)
{
    .reg .pred %p<2>;
    .reg .b32 %r<6>;
    .reg .f32 %f<4>;
    .reg .b64 %rd<8>;
    ld.param.f32 %f1, [a];
    ld.param.u64 %rd1, [x];
    ld.param.u64 %rd2, [y];
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra DONE;
    cvta.to.global.u64 %rd3, %rd1;
    cvta.to.global.u64 %rd4, %rd2;
    mul.wide.u32 %rd5, %r5, 4;
    add.s64 %rd6, %rd3, %rd5;
    add.s64 %rd7, %rd4, %rd5;
    ld.global.f32 %f2, [%rd6];
    ld.global.f32 %f3, [%rd7];
    fma.rn.f32 %f3, %f1, %f2, %f3;
    st.global.f32 [%rd7], %f3;
DONE:
    ret;
}
"#;

/// Kernels that go wrong, that need much shared memory, and that read constants.
pub const OTHERS: &str = r#"
.version 8.0
.target sm_80
.address_size 64
.const .align 4 .b32 table[4] = {10, 20, 30, 40};
.global .align 4 .u32 cell = 7;
.extern .shared .align 16 .b8 dynamic[];
.visible .entry empty() { ret; }
.visible .entry beyond(.param .u64 p)
{
    .reg .b64 %rd<3>;
    .reg .b32 %r<2>;
    ld.param.u64 %rd1, [p];
    mov.u32 %r1, 1;
    st.global.u32 [%rd1+1048576], %r1;
    ret;
}
.visible .entry crooked(.param .u64 p)
{
    .reg .b64 %rd<3>;
    .reg .b32 %r<2>;
    ld.param.u64 %rd1, [p];
    mov.u32 %r1, 1;
    st.global.u32 [%rd1+2], %r1;
    ret;
}
.visible .entry trapped() { trap; }
.visible .entry endless()
{
LOOP:
    bra LOOP;
}
.visible .entry last_word(.param .u64 p, .param .u32 at)
{
    .reg .b64 %rd<3>;
    .reg .b32 %r<5>;
    ld.param.u64 %rd1, [p];
    ld.param.u32 %r1, [at];
    mov.u32 %r2, dynamic;
    add.u32 %r2, %r2, %r1;
    mov.u32 %r3, 77;
    st.shared.u32 [%r2], %r3;
    ld.shared.u32 %r4, [%r2];
    st.global.u32 [%rd1], %r4;
    ret;
}
.visible .entry constants(.param .u64 p)
{
    .reg .b64 %rd<5>;
    .reg .b32 %r<5>;
    ld.param.u64 %rd1, [p];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.s64 %rd3, %rd1, %rd2;
    mov.u64 %rd4, table;
    add.s64 %rd4, %rd4, %rd2;
    ld.const.u32 %r2, [%rd4];
    ld.global.u32 %r3, [cell];
    add.u32 %r4, %r2, %r3;
    st.global.u32 [%rd3], %r4;
    ret;
}
"#;
