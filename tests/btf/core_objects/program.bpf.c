// SPDX-License-Identifier: MIT OR GPL-2.0
// Relocations of all kinds against the types of kernel.bpf.c. libbpf.txt is what libbpf 1.1.2 made of them.
// clang -O2 -g -target bpfel -mcpu=v3 -c program.bpf.c -o program.bpf.o
typedef unsigned int u32; typedef unsigned long long u64; typedef unsigned char u8; typedef unsigned short u16; typedef _Bool bool;
#define PAI __attribute__((preserve_access_index))
#define SEC(x) __attribute__((section(x),used))
struct inner { u64 x; u32 pad; int arr[5]; struct { u8 flag2:5; u8 flag:3; u16 deep; }; } PAI;
union un { struct { u32 lo, hi; }; u64 raw; } PAI;
enum small { S_A, S_B, S_NEG = -1, S_C, S_GONE = 55 };
enum usmall { US_A = 1, US_BIG = 3 };
enum big { B_A = 1ULL<<40, B_B = 2ULL<<40, B_C };
enum flav___x { FL_ONE = 1, FL_TWO___loc = 2 };
typedef int (*cb_t)(int, struct inner *, char);
typedef int (*cbad_t)(int, struct inner *);
typedef struct { int a; } anon_td;
struct s1 {
  u64 small_u; int wide_s; u32 wide_u; int small_s; struct inner in; void *ptr; struct inner ina[4]; union un u;
  struct { u32 an_a; u64 an_b; u8 an_c; u8 an_d; };
  u32 bf2:7; u32 bf1:5; int bf3:9; u64 bf4:36; u64 bf5:30; enum small e:8; enum small full; enum big bigf; bool flag; int multi[2][3]; char name[32];
  cb_t cb; float fl; struct inner *pin; int gone; u8 tail[];
} PAI;
struct s1___fl { int small_s; int never; } PAI;
struct nosuch { int a; int b:3; } PAI;
struct m1 { int a; struct inner *p; u64 arr[3]; enum { X } *ee; } PAI;
struct m1___ok { int a; struct inner *p; u64 arr[3]; } PAI;
struct m1___len { u64 arr[4]; } PAI;
struct m1___un { union un u; } PAI;
struct m2 { int x; } PAI;
struct m2___u { u32 x; } PAI;
struct m3 { struct only_fwd { int zz; } *p; } PAI;
typedef int fnproto(int, char*);
typedef int fnproto2(int);
#define VOL(x) do { u64 t_ = (x); asm volatile("" :: "r"(t_)); } while (0)
#define FI(f,k) __builtin_preserve_field_info(f,k)
#define ALLF(f) VOL(FI(f,0)); VOL(FI(f,1)); VOL(FI(f,2)); VOL(FI(f,3)); VOL(FI(f,4)); VOL(FI(f,5));
#define ALLP(f) VOL(FI(f,0)); VOL(FI(f,1)); VOL(FI(f,2)); VOL(FI(f,4)); VOL(FI(f,5));
#define TID_L(t) VOL(__builtin_btf_type_id(*(t*)0,0))
#define TID_T(t) VOL(__builtin_btf_type_id(*(t*)0,1))
#define TEX(t) VOL(__builtin_preserve_type_info(*(t*)0,0))
#define TSZ(t) VOL(__builtin_preserve_type_info(*(t*)0,1))
#define TMA(t) VOL(__builtin_preserve_type_info(*(t*)0,2))
#define EEX(t,v) VOL(__builtin_preserve_enum_value(*(t*)v,0))
#define EVA(t,v) VOL(__builtin_preserve_enum_value(*(t*)v,1))
SEC("socket") int fields(void *ctx) {
  struct s1 *s = ctx;
  ALLF(s->small_u) ALLF(s->small_s) ALLF(s->wide_s) ALLF(s->wide_u) ALLP(s->ptr) ALLF(s->bf1) ALLF(s->bf2) ALLF(s->bf3) ALLF(s->bf5) ALLF(s->e) ALLF(s->full) ALLF(s->flag) ALLF(s->fl) ALLF(s->in.deep) ALLF(s->in.flag) ALLF(s->in.flag2) ALLF(s->an_c) ALLF(s->an_b) ALLF(s->u.hi) ALLF(s->u.raw) ALLP(s->cb) ALLP(s->pin) ALLF(s->bigf) ALLF(s->gone) ALLF(s->in.x)
  ALLF(s->bf4)
  return 0; }
SEC("socket") int arrays(void *ctx) {
  struct s1 *s = ctx; 
  VOL(FI(s->ina[2].arr[3],0)); VOL(FI(s->ina[2].arr[3],1)); VOL(FI(s->ina[2].arr[3],2)); VOL(FI(s->multi[1][2],0)); VOL(FI(s->multi[1][2],1)); VOL(FI(s->name,0)); VOL(FI(s->name,1)); VOL(FI(s->name,2)); VOL(FI(s->name[20],0)); VOL(FI(s->name[20],2)); VOL(FI(s->tail[9],0)); VOL(FI(s->tail[9],2)); VOL(FI(s[2].small_s,0)); VOL(FI(s[2].in.arr[1],0)); VOL(FI(s->in.arr[4],2)); VOL(FI(s->tail,2)); VOL(FI(s->in,0)); VOL(FI(s->in,1)); VOL(FI(s->ina,1)); VOL(FI(s->ina[1],1)); VOL(FI(s->ina[1],0));
  return 0; }
SEC("tp_btf/x") int loads(u64 *ctx) {
  struct s1 *s = (void*)ctx[0]; u64 r = 0;
  VOL(s->small_u); VOL(s->small_s); VOL(s->wide_u); VOL((u64)s->ptr); VOL(s->in.x); VOL(s->in.arr[2]); VOL(s->name[3]); VOL(s->flag); VOL(s->an_d); VOL(s->pin->deep); VOL(s->pin->pad); VOL(s->full); VOL(s->bf1); VOL(s->bf3); VOL(s->in.flag);
  return 0; }
SEC("tp_btf/x") int loads_bad(u64 *ctx) { struct s1 *s = (void*)ctx[0]; VOL(s->wide_s); VOL(s->gone); return 0; }
SEC("tp_btf/x") int stores(u64 *ctx) { struct s1 *s = (void*)ctx[0]; s->small_s = 5; s->wide_u = 7; s->small_u = ctx[1]; s->in.pad = ctx[2]; return 0; }
SEC("socket") int types(void *ctx) {
  TID_L(struct s1); TID_L(int); TID_L(struct nosuch); TID_T(struct s1); TID_T(struct nosuch); TID_T(struct s1___fl); TID_T(anon_td);
  TEX(struct s1); TEX(struct nosuch); TEX(enum small); TEX(cb_t); TEX(cbad_t); TEX(anon_td); TEX(fnproto); TEX(fnproto2); TEX(union un); TEX(enum big);
  TSZ(struct s1); TSZ(struct nosuch); TSZ(union un); TSZ(enum big); TSZ(cb_t); TSZ(anon_td); TSZ(enum flav___x);
  TMA(struct s1); TMA(struct m1); TMA(struct m1___ok); TMA(struct m1___len); TMA(struct m1___un); TMA(struct m2); TMA(struct m2___u); TMA(struct m3); TMA(enum small); TMA(enum usmall); TMA(enum big); TMA(cb_t); TMA(cbad_t); TMA(anon_td); TMA(fnproto); TMA(fnproto2); TMA(enum flav___x); TMA(struct nosuch);
  return 0; }
SEC("socket") int enums(void *ctx) {
  EEX(enum small, S_A); EEX(enum small, S_GONE); EEX(enum big, B_B); EEX(enum big, B_C); EEX(enum flav___x, FL_ONE); EEX(enum flav___x, FL_TWO___loc);
  EVA(enum small, S_A); EVA(enum small, S_NEG); EVA(enum small, S_C); EVA(enum big, B_A); EVA(enum big, B_B); EVA(enum flav___x, FL_ONE); EVA(enum usmall, US_A); EVA(enum usmall, US_BIG);
  EVA(enum small, S_GONE); EVA(enum big, B_C);
  return 0; }
SEC("socket") int flavours(void *ctx) { struct s1___fl *s = ctx; VOL(FI(s->small_s,0)); VOL(FI(s->never,2)); VOL(FI(s->never,0)); struct nosuch *n = ctx; VOL(FI(n->a,0)); VOL(FI(n->a,2)); VOL(FI(n->b,4)); return 0; }
char LICENSE[] SEC("license") = "GPL";
