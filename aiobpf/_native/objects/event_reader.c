/*
 * `async for` over events of which most are there already.
 *
 * A coroutine for each event costs more than the event. EventReader.__anext__ gives an object of a few words instead,
 * which takes the next event once it is awaited (until then nothing is lost if it is dropped) and is used again by the
 * next step; where nothing is left it is the coroutine `_next_event`, written in Python.
 */
#include "objects.h"

#include <stddef.h>

struct step;

struct reader {
	PyObject_HEAD
	struct objects *objects;
	PyObject *events;   /* an iterator: the `_events` of Python */
	struct step *spare; /* refers to nothing */
};

/* What __anext__ gives: a coroutine as far as event loops ask. */
struct step {
	PyObject_HEAD
	struct reader *reader; /* NULL once it has given its event */
	PyObject *coroutine;   /* `_next_event`, where no event was there */
};

/* --- one step ------------------------------------------------------------------------------------------------------- */

static void step_end(struct step *self)
{
	struct reader *reader = self->reader;
	Py_CLEAR(self->coroutine);
	self->reader = NULL;
	if (!reader)
		return;
	if (!reader->spare)
		reader->spare = REF(self);
	Py_DECREF(reader);
}

static void step_dealloc(struct step *self)
{
	PyTypeObject *type = TYPE_OF(self);
	Py_CLEAR(self->coroutine);
	Py_CLEAR(self->reader);
	PyObject_Free(self);
	Py_DECREF(type);
}

static PyObject *begin_coroutine(struct step *self)
{
	if (!self->coroutine)
		self->coroutine = PyObject_CallMethodObjArgs((PyObject *)self->reader, self->reader->objects->next_event, NULL);
	return self->coroutine;
}

static PySendResult step_send(struct step *self, PyObject *value, PyObject **result)
{
	struct reader *reader = self->reader;
	if (!reader) {
		PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited __anext__()");
		*result = NULL;
		return PYGEN_ERROR;
	}
	if (!self->coroutine && reader->events) {
		if (Py_TYPE(reader->events) == reader->objects->run) {
			*result = run_next((struct run *)reader->events);
		} else {
			PyObject *events = REF(reader->events); /* what it calls may replace it */
			*result = PyIter_Next(events);
			Py_DECREF(events);
		}
		if (*result || PyErr_Occurred()) {
			step_end(self);
			return *result ? PYGEN_RETURN : PYGEN_ERROR;
		}
	}
	*result = NULL;
	PyObject *coroutine = begin_coroutine(self);
	if (!coroutine) {
		step_end(self);
		return PYGEN_ERROR;
	}
	Py_INCREF(coroutine);
	PySendResult outcome = PyIter_Send(coroutine, value, result);
	Py_DECREF(coroutine);
	if (outcome != PYGEN_NEXT)
		step_end(self);
	return outcome;
}

/* The end of a step as an exception, as iterators have it. */
static PyObject *as_iterator(PySendResult outcome, PyObject *result)
{
	if (outcome != PYGEN_RETURN)
		return result;
	/* Called, as a tuple would be taken for the arguments otherwise. */
	PyObject *stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, result, NULL);
	if (stop) {
		PyErr_SetObject(PyExc_StopIteration, stop);
		Py_DECREF(stop);
	}
	Py_DECREF(result);
	return NULL;
}

static PyObject *step_method_send(struct step *self, PyObject *value)
{
	PyObject *result;
	PySendResult outcome = step_send(self, value, &result);
	return as_iterator(outcome, result);
}

static PyObject *step_next(struct step *self)
{
	return step_method_send(self, Py_None);
}

/* Raise in the coroutine, where there is one already; else here, with nothing taken. */
static PyObject *step_throw(struct step *self, PyObject *args)
{
	PyObject *kind, *value = NULL, *traceback = NULL;
	if (!PyArg_ParseTuple(args, "O|OO:throw", &kind, &value, &traceback))
		return NULL;
	if (!self->coroutine) {
		step_end(self);
		if (PyExceptionInstance_Check(kind))
			PyErr_SetObject((PyObject *)Py_TYPE(kind), kind);
		else if (value && PyExceptionInstance_Check(value))
			PyErr_SetObject((PyObject *)Py_TYPE(value), value);
		else
			PyErr_SetObject(kind, value);
		return NULL;
	}
	PyObject *coroutine = REF(self->coroutine);
	PyObject *method = PyObject_GetAttrString(coroutine, "throw");
	PyObject *result = method ? PyObject_CallObject(method, args) : NULL;
	Py_XDECREF(method);
	Py_DECREF(coroutine);
	if (!result)
		step_end(self);
	return result;
}

static PyObject *step_close(struct step *self, PyObject *unused)
{
	(void)unused;
	PyObject *coroutine = Py_XNewRef(self->coroutine);
	PyObject *result = REF(Py_None);
	if (coroutine) {
		Py_DECREF(result);
		result = PyObject_CallMethod(coroutine, "close", NULL);
		Py_DECREF(coroutine);
	}
	step_end(self);
	return result;
}

static PyMethodDef step_methods[] = {
	{"send", (PyCFunction)step_method_send, METH_O, NULL},
	{"throw", (PyCFunction)step_throw, METH_VARARGS, NULL},
	{"close", (PyCFunction)step_close, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot step_slots[] = {
	{Py_tp_doc, "The next event, once it is awaited."},
	{Py_tp_dealloc, step_dealloc},
	{Py_tp_iter, PyObject_SelfIter},
	{Py_tp_iternext, step_next},
	{Py_am_await, PyObject_SelfIter},
	{Py_am_send, step_send},
	{Py_tp_methods, step_methods},
	{0, NULL},
};

static PyType_Spec step_spec = {
	.name = "aiobpf._native._objects.NextEvent",
	.basicsize = sizeof(struct step),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = step_slots,
};

/* --- the reader ----------------------------------------------------------------------------------------------------- */

static void reader_dealloc(struct reader *self)
{
	PyTypeObject *type = TYPE_OF(self);
	Py_CLEAR(self->events);
	Py_CLEAR(self->spare);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static PyObject *reader_anext(struct reader *self)
{
	struct objects *objects = self->objects;
	if (!objects) {
		objects = self->objects = objects_of(TYPE_OF(self));
		if (!objects)
			return NULL;
	}
	if (!self->events || (Py_TYPE(self->events) == objects->run && !((struct run *)self->events)->left))
		return PyObject_CallMethodObjArgs((PyObject *)self, objects->next_event, NULL);
	struct step *step = self->spare;
	self->spare = NULL;
	if (!step || Py_REFCNT((PyObject *)step) != 1) { /* somebody kept the last one */
		Py_CLEAR(step);
		step = PyObject_New(struct step, objects->step);
		if (!step)
			return NULL;
		step->coroutine = NULL;
	}
	step->reader = REF(self);
	return (PyObject *)step;
}

static PyMemberDef reader_members[] = {
	{"_events", T_OBJECT_EX, offsetof(struct reader, events), 0, NULL},
	{NULL, 0, 0, 0, NULL},
};

static PyType_Slot reader_slots[] = {
	{Py_tp_doc, "The base of streams: gives what the iterator `_events` has, then awaits the method `_next_event`."},
	{Py_tp_dealloc, reader_dealloc},
	{Py_am_anext, reader_anext},
	{Py_tp_members, reader_members},
	{0, NULL},
};

static PyType_Spec reader_spec = {
	.name = "aiobpf._native._objects.EventReader",
	.basicsize = sizeof(struct reader),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = reader_slots,
};

int add_readers(PyObject *module, struct objects *objects)
{
	objects->next_event = PyUnicode_InternFromString("_next_event");
	if (!objects->next_event || add_type(module, &step_spec, NULL, &objects->step))
		return -1;
	return add_type(module, &reader_spec, NULL, NULL);
}
