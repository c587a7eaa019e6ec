/*
 * Python objects written in C: those of which a program makes millions a second. Everything else is in the cffi unit.
 *
 * Only the limited API of Python 3.11 (one module serves 3.11 and all that follow). Each unit adds its types to the
 * module through one function, declared here.
 */
#ifndef AIOBPF_OBJECTS_H
#define AIOBPF_OBJECTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <string.h>
#include <structmember.h>

/* As the macros of the full API: of objects of any struct. */
#define TYPE_OF(object) Py_TYPE((PyObject *)(object))
#define SIZE_OF(object) Py_SIZE((PyObject *)(object))
#define REF(object)     ((__typeof__(object))Py_NewRef((PyObject *)(object)))

/* What the types of one module (there is one in each interpreter) know of each other. */
struct objects {
	PyTypeObject *event;
	PyTypeObject *layout;
	PyTypeObject *run;
	PyTypeObject *step;
	PyObject *next_event; /* the name "_next_event" */
	PyObject *value;      /* the name "value" */
};

extern struct PyModuleDef objects_definition;

/* The state of the module that *type*, or the type that it is derived from, belongs to; NULL with an error set. */
struct objects *objects_of(PyTypeObject *type);

/* Add a type to the module; a new reference also to *place*, unless that is NULL. -1 with an error set. */
int add_type(PyObject *module, PyType_Spec *spec, PyObject *base, PyTypeObject **place);

int add_events(PyObject *module, struct objects *objects);
int add_runs(PyObject *module, struct objects *objects);
int add_readers(PyObject *module, struct objects *objects);
int add_leases(PyObject *module);

/* --- fields.c: what a member of a struct is, and its value ------------------------------------------------------- */

struct layout;

struct field {
	char code; /* as described */
	unsigned char kind; /* as it is read: by code and size */
	bool is_signed, is_boolean;
	unsigned char shift, width;
	Py_ssize_t offset;
	Py_ssize_t size;  /* REST: all that is left of the record */
	Py_ssize_t count; /* of a list */
	PyObject *object; /* names of numbers; the layout of a nested struct; what makes a value of bytes */
	struct field *element;
};

#define REST (-1)

/* Read *description* (see _objects.pyi), of a member within *room* bytes. -1 with an error set. */
int field_init(struct field *field, PyObject *description, Py_ssize_t room, struct objects *objects);
void field_clear(struct field *field);
int field_traverse(const struct field *field, visitproc visit, void *arg);

/* The value of *field* in a record of *length* bytes, at least as many as the layout has: a new reference. */
PyObject *field_value(const struct field *field, const unsigned char *record, Py_ssize_t length);

/* Whether values of *field* have a hash. */
bool field_is_hashable(const struct field *field);

/* --- event.c: a record as an object, which has its bytes in it ---------------------------------------------------- */

struct event {
	PyObject_VAR_HEAD /* the size is the number of bytes */
	struct layout *layout;
	unsigned char bytes[];
};

struct layout {
	PyObject_HEAD
	struct objects *objects;
	PyTypeObject *type; /* of its events */
	Py_ssize_t size;
	bool is_open_ended;
	Py_ssize_t count;
	struct field *fields;
	PyGetSetDef *getset;
	PyObject *names;    /* keeps what getset points to */
	struct event *free; /* the last few that went, one behind the other by their `layout`; each keeps its type */
	int free_count;
	struct named_field *by_name; /* a hash table of `name_mask` + 1 */
	size_t name_mask;
};

struct named_field {
	PyObject *name; /* interned, so that it is the one that code looks up */
	struct field *field;
};

/* An event of *length* bytes from *bytes*; what it misses of the layout's size is zero. */
PyObject *event_make(struct layout *layout, const unsigned char *bytes, Py_ssize_t length);

/* As memcpy, which takes longer to begin than to copy a short record: 16 bytes at a time, the last ones overlapping. */
static inline void event_copy(unsigned char *to, const unsigned char *from, Py_ssize_t size)
{
	if (size < 16 || size > 256) {
		memcpy(to, from, size);
		return;
	}
	for (Py_ssize_t at = 0; at < size - 16; at += 16)
		memcpy(to + at, from + at, 16);
	memcpy(to + size - 16, from + size - 16, 16);
}

/* As event_make, of a record that has the layout's size. */
static inline PyObject *event_of_row(struct layout *layout, const unsigned char *bytes)
{
	struct event *made = layout->free;
	if (!made)
		return event_make(layout, bytes, layout->size);
	layout->free = (struct event *)made->layout;
	layout->free_count--;
	Py_SET_REFCNT((PyObject *)made, 1);
	made->layout = REF(layout);
	event_copy(made->bytes, bytes, layout->size);
	return (PyObject *)made;
}

/* --- event_run.c: an iterator over records that lie in a buffer --------------------------------------------------- */

struct run {
	PyObject_HEAD
	struct layout *layout;
	Py_buffer view; /* without an object once it came to its end */
	const unsigned char *next;
	Py_ssize_t stride;
	Py_ssize_t left;
	PyObject *offsets; /* NULL: one record every stride bytes */
	PyObject *lengths;
};

/* Methods of a layout. */
PyObject *run_of_rows(PyObject *layout, PyObject *args);
PyObject *run_of_places(PyObject *layout, PyObject *args);

/* The next event; NULL without an error at the end. */
PyObject *run_next(struct run *run);

/* The same, for one that has many left. */
static inline PyObject *run_next_of_many(struct run *run)
{
	if (run->left <= 1 || run->offsets)
		return run_next(run);
	const unsigned char *bytes = run->next;
	run->left--;
	run->next += run->stride;
	return event_of_row(run->layout, bytes);
}

#endif
