/*
 * Events: a struct as the bytes that it was, in an object of a type made for it, whose attributes read them.
 *
 * Decoding a record of nine members costs ten times as much as copying it, and most programs look at two or three. An
 * event refers to no batch and to no value, so it is of no interest to the garbage collector, and one that is kept
 * keeps nothing else in memory.
 */
#include "objects.h"

#include <stddef.h>

#define HEAD ((Py_ssize_t)offsetof(struct event, bytes))
#define MOST_FREE 64

/* --- one event ------------------------------------------------------------------------------------------------------ */

PyObject *event_make(struct layout *layout, const unsigned char *bytes, Py_ssize_t length)
{
	Py_ssize_t size = layout->size;

	if (layout->is_open_ended && length > size)
		size = length;
	if (layout->free && size == layout->size && length >= size)
		return event_of_row(layout, bytes);
	struct event *made = size <= PY_SSIZE_T_MAX - HEAD ? PyObject_Malloc(HEAD + size) : NULL;
	if (!made)
		return PyErr_NoMemory();
	PyObject_InitVar((PyVarObject *)made, layout->type, size);
	made->layout = REF(layout);
	if (length >= size) {
		memcpy(made->bytes, bytes, size);
	} else {
		memcpy(made->bytes, bytes, length);
		memset(made->bytes + length, 0, size - length);
	}
	return (PyObject *)made;
}

static void event_dealloc(struct event *self)
{
	struct layout *layout = self->layout;

	if (layout->free_count < MOST_FREE && SIZE_OF(self) == layout->size) {
		self->layout = (struct layout *)layout->free;
		layout->free = self;
		layout->free_count++;
	} else {
		PyTypeObject *type = TYPE_OF(self);
		PyObject_Free(self);
		Py_DECREF(type);
	}
	Py_DECREF(layout); /* may be the end of it, and of those that are free */
}

static PyObject *event_get(struct event *self, void *field)
{
	return field_value(field, self->bytes, SIZE_OF(self));
}

static size_t place_of(PyObject *name)
{
	return (size_t)name >> 4;
}

/* A member is found by the address of its name, in half the time of a look-up in the type; all else goes there. */
static PyObject *event_getattro(struct event *self, PyObject *name)
{
	struct layout *layout = self->layout;
	for (size_t at = place_of(name);; at++) {
		struct named_field *found = &layout->by_name[at & layout->name_mask];
		if (found->name == name)
			return field_value(found->field, self->bytes, SIZE_OF(self));
		if (!found->name)
			return PyObject_GenericGetAttr((PyObject *)self, name);
	}
}

static PyObject *event_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	(void)args;
	(void)kwargs;
	PyErr_Format(PyExc_TypeError, "%R is the base of the events of all structs: there are none of it itself", type);
	return NULL;
}

static PyObject *event_repr(struct event *self)
{
	struct layout *layout = self->layout;
	PyObject *parts = PyList_New(layout->count), *comma = NULL, *joined = NULL, *name = NULL, *whole = NULL;
	if (!parts)
		return NULL;
	for (Py_ssize_t index = 0; index < layout->count; index++) {
		PyObject *value = field_value(&layout->fields[index], self->bytes, SIZE_OF(self));
		PyObject *part = value ? PyUnicode_FromFormat("%s=%R", layout->getset[index].name, value) : NULL;
		Py_XDECREF(value);
		if (!part || PyList_SetItem(parts, index, part) < 0)
			goto out;
	}
	comma = PyUnicode_FromString(", ");
	joined = comma ? PyUnicode_Join(comma, parts) : NULL;
	name = joined ? PyType_GetName(TYPE_OF(self)) : NULL;
	whole = name ? PyUnicode_FromFormat("%U(%U)", name, joined) : NULL;
out:
	Py_DECREF(parts);
	Py_XDECREF(comma);
	Py_XDECREF(joined);
	Py_XDECREF(name);
	return whole;
}

/* Member by member: padding, and what follows the NUL of a string, is no part of the value. */
static int is_equal(struct event *self, struct event *other)
{
	struct layout *layout = self->layout;
	int found = 1;
	if (SIZE_OF(self) == SIZE_OF(other) && !memcmp(self->bytes, other->bytes, SIZE_OF(self)))
		return 1;
	for (Py_ssize_t index = 0; found == 1 && index < layout->count; index++) {
		PyObject *mine = field_value(&layout->fields[index], self->bytes, SIZE_OF(self));
		PyObject *its = mine ? field_value(&layout->fields[index], other->bytes, SIZE_OF(other)) : NULL;
		found = its ? PyObject_RichCompareBool(mine, its, Py_EQ) : -1;
		Py_XDECREF(mine);
		Py_XDECREF(its);
	}
	return found;
}

static PyObject *event_richcompare(PyObject *self, PyObject *other, int operation)
{
	if (TYPE_OF(self) != Py_TYPE(other) || (operation != Py_EQ && operation != Py_NE))
		return REF(Py_NotImplemented);
	int found = is_equal((struct event *)self, (struct event *)other);
	return found < 0 ? NULL : PyBool_FromLong(found == (operation == Py_EQ));
}

/* Of the members that have one; lists, of which a struct has few, tell nothing apart. */
static Py_hash_t event_hash(struct event *self)
{
	struct layout *layout = self->layout;
	PyObject *values = PyTuple_New(layout->count);
	Py_hash_t hash = -1;
	if (!values)
		return -1;
	for (Py_ssize_t index = 0; index < layout->count; index++) {
		struct field *field = &layout->fields[index];
		PyObject *value =
			field_is_hashable(field) ? field_value(field, self->bytes, SIZE_OF(self)) : REF(Py_None);
		if (!value || PyTuple_SetItem(values, index, value) < 0)
			goto out;
	}
	hash = PyObject_Hash(values);
out:
	Py_DECREF(values);
	return hash;
}

static int event_getbuffer(struct event *self, Py_buffer *view, int flags)
{
	return PyBuffer_FillInfo(view, (PyObject *)self, self->bytes, SIZE_OF(self), 1, flags);
}

static PyObject *event_itself(PyObject *self, PyObject *unused)
{
	(void)unused;
	return REF(self);
}

static PyObject *event_reduce(PyObject *self, PyObject *unused)
{
	(void)unused;
	PyErr_Format(PyExc_TypeError,
		     "%R was made for a type of one BTF, which another process does not have: "
		     "pickle bytes(event), or attrs.asdict(event)",
		     TYPE_OF(self));
	return NULL;
}

static PyMethodDef event_methods[] = {
	{"__copy__", event_itself, METH_NOARGS, NULL},
	{"__deepcopy__", event_itself, METH_O, NULL},
	{"__reduce__", event_reduce, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot event_slots[] = {
	{Py_tp_doc, "The base of what records of structs are: their bytes, with a member decoded when its attribute is read.\n\n"
		    "It cannot be changed. Two of one stream are equal if their members are; ``bytes(event)`` is the record,\n"
		    "filled up with zeros where it was cut short. To ``attrs`` it is one of its classes."},
	{Py_tp_new, event_new},
	{Py_tp_dealloc, event_dealloc},
	{Py_tp_repr, event_repr},
	{Py_tp_richcompare, event_richcompare},
	{Py_tp_hash, event_hash},
	{Py_tp_methods, event_methods},
	{Py_bf_getbuffer, event_getbuffer},
	{0, NULL},
};

static PyType_Spec event_spec = {
	.name = "aiobpf._native._objects.Event",
	.basicsize = HEAD,
	.itemsize = 1,
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = event_slots,
};

/* --- their layout --------------------------------------------------------------------------------------------------- */

static int layout_traverse(struct layout *self, visitproc visit, void *arg)
{
	Py_VISIT(TYPE_OF(self));
	Py_VISIT(self->type);
	for (struct event *free = self->free; free; free = (struct event *)free->layout)
		Py_VISIT(self->type);
	for (Py_ssize_t index = 0; index < self->count; index++) {
		int error = field_traverse(&self->fields[index], visit, arg);
		if (error)
			return error;
	}
	return 0;
}

static int layout_clear(struct layout *self)
{
	while (self->free) {
		struct event *event = self->free;
		PyTypeObject *type = TYPE_OF(event);
		self->free = (struct event *)event->layout;
		self->free_count--;
		PyObject_Free(event);
		Py_DECREF(type);
	}
	Py_CLEAR(self->type);
	for (Py_ssize_t index = 0; index < self->count; index++)
		field_clear(&self->fields[index]);
	return 0;
}

static void layout_dealloc(struct layout *self)
{
	PyTypeObject *type = TYPE_OF(self);

	PyObject_GC_UnTrack(self);
	layout_clear(self);
	PyMem_Free(self->fields);
	PyMem_Free(self->getset);
	PyMem_Free(self->by_name);
	Py_CLEAR(self->names);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

/* Room for *count* members, and their names and places in it. */
static int read_members(struct layout *self, PyObject *members)
{
	Py_ssize_t count = PyTuple_Size(members);
	self->fields = PyMem_Calloc(count + 1, sizeof(*self->fields));
	self->getset = PyMem_Calloc(count + 1, sizeof(*self->getset));
	self->names = PyTuple_New(count);
	for (self->name_mask = 1; self->name_mask < (size_t)count * 2; self->name_mask = self->name_mask * 2 + 1)
		;
	self->by_name = PyMem_Calloc(self->name_mask + 1, sizeof(*self->by_name));
	if (!self->fields || !self->getset || !self->names || !self->by_name) {
		PyErr_NoMemory();
		return -1;
	}
	for (Py_ssize_t index = 0; index < count; index++) {
		PyObject *name, *description;
		if (!PyArg_ParseTuple(PyTuple_GetItem(members, index), "UO!", &name, &PyTuple_Type, &description))
			return -1;
		Py_INCREF(name);
		PyUnicode_InternInPlace(&name);
		PyTuple_SetItem(self->names, index, name);
		self->count = index + 1;
		if (field_init(&self->fields[index], description, self->size, self->objects) < 0)
			return -1;
		self->getset[index] = (PyGetSetDef){
			.name = PyUnicode_AsUTF8AndSize(name, NULL),
			.get = (getter)event_get,
			.closure = &self->fields[index],
		};
		if (!self->getset[index].name)
			return -1;
		size_t at = place_of(name);
		while (self->by_name[at & self->name_mask].name)
			at++;
		self->by_name[at & self->name_mask] = (struct named_field){name, &self->fields[index]};
	}
	return 0;
}

static PyObject *layout_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	PyObject *members;
	const char *name;
	Py_ssize_t size;
	int is_open_ended;
	static char *keywords[] = {"", "", "", "", NULL};

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "snpO!", keywords, &name, &size, &is_open_ended, &PyTuple_Type,
					 &members))
		return NULL;
	if (size < 0) {
		PyErr_SetString(PyExc_ValueError, "a struct has no negative size");
		return NULL;
	}
	struct layout *self = (struct layout *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
	if (!self)
		return NULL;
	self->objects = objects_of(type);
	self->size = size;
	self->is_open_ended = is_open_ended;
	if (!self->objects || read_members(self, members) < 0)
		goto failed;
	PyType_Slot slots[] = {
		{Py_tp_getset, self->getset},
		{Py_tp_getattro, event_getattro},
		{Py_tp_dealloc, event_dealloc},
		{0, NULL},
	};
	PyType_Spec spec = {name, HEAD, 1, Py_TPFLAGS_DEFAULT, slots};
	self->type = (PyTypeObject *)PyType_FromSpecWithBases(&spec, (PyObject *)self->objects->event);
	if (self->type)
		return (PyObject *)self;
failed:
	Py_DECREF(self);
	return NULL;
}

static PyObject *layout_event(struct layout *self, PyObject *record)
{
	Py_buffer view;
	if (PyObject_GetBuffer(record, &view, PyBUF_SIMPLE) < 0)
		return NULL;
	PyObject *made = event_make(self, view.buf, view.len);
	PyBuffer_Release(&view);
	return made;
}

static PyMethodDef layout_methods[] = {
	{"event", (PyCFunction)layout_event, METH_O, NULL},
	{"rows", run_of_rows, METH_VARARGS, NULL},
	{"places", run_of_places, METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyMemberDef layout_members[] = {
	{"type", T_OBJECT_EX, offsetof(struct layout, type), READONLY, NULL},
	{"size", T_PYSSIZET, offsetof(struct layout, size), READONLY, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot layout_slots[] = {
	{Py_tp_doc, "How the events of one struct are read, and what makes them."},
	{Py_tp_new, layout_new},
	{Py_tp_dealloc, layout_dealloc},
	{Py_tp_traverse, layout_traverse},
	{Py_tp_clear, layout_clear},
	{Py_tp_methods, layout_methods},
	{Py_tp_members, layout_members},
	{0, NULL},
};

static PyType_Spec layout_spec = {
	.name = "aiobpf._native._objects.Layout",
	.basicsize = sizeof(struct layout),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = layout_slots,
};

int add_events(PyObject *module, struct objects *objects)
{
	if (add_type(module, &event_spec, NULL, &objects->event))
		return -1;
	return add_type(module, &layout_spec, NULL, &objects->layout);
}
