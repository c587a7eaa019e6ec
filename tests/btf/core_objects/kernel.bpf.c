// SPDX-License-Identifier: MIT OR GPL-2.0
// The "kernel" that program.bpf.c is relocated to: the same names as there, and hardly anything else the same.
// clang -O2 -g -target bpfel -mcpu=v3 -c kernel.bpf.c -o kernel.bpf.o
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned char u8; typedef unsigned short u16; typedef signed char s8; typedef _Bool bool;
struct inner { u32 pad; u64 x; int arr[7]; struct { u16 deep; u8 flag:3; u8 flag2:5; }; };
union un { u64 raw; struct { u32 lo, hi; }; };
enum small { S_A = 1, S_B = 7, S_NEG = -3, S_C = 100 };
enum usmall { US_A = 1, US_BIG = 0x80000001u };
enum big { B_A = 0x100000000ULL, B_B = 0xffffffffffffffffULL };
enum flav { FL_ONE___v2 = 5, FL_TWO = 9 };
typedef int (*cb_t)(int, struct inner *, char);
typedef struct { int a; long b; } anon_td;
struct s1 {
  u64 added; u32 small_u; int small_s; long wide_s; u64 wide_u; void *ptr; struct inner in; struct inner ina[4];
  union un u; union { u32 an_a; u64 an_b; struct { u8 an_c, an_d; }; };
  u32 bf1:5; u32 bf2:11; int bf3:9; u64 bf4:40; u64 bf5:30; enum small e:8; enum small full; enum big bigf; bool flag; char name[16]; int multi[2][3];
  cb_t cb; float fl; struct inner *pin; u8 tail[];
};
struct ambi { int a; int b; };
struct only_fwd;
struct m1 { int a; struct inner *p; u64 arr[3]; struct { int q; } ; enum small e; union un u; };
struct m2 { u32 x; };
struct m3 { struct only_fwd *p; };
int fn(int a, char *b);
typedef int fnproto(int, char*);
struct s1 g1; struct ambi g2; struct m1 g3; struct m2 g4; struct m3 g5; enum usmall g6; enum flav g7; anon_td g8; fnproto *g9; cb_t g10;
