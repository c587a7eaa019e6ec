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
	PyObject *stop;     /* the StopIteration that the last step ended with; NULL until one did */
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
			*result = run_next_of_many((struct run *)reader->events);
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

/*
 * The end of a step as an exception, which iterators have and Python 3.12 asks for where 3.11 asks for am_send. It takes
 * three times as long to make as the event, so the last one is used again unless somebody kept it.
 */
static PyObject *stop_with(struct reader *reader, PyObject *event)
{
	PyObject *stop = reader->stop;
	if (stop && Py_REFCNT(stop) == 1) {
		if (PyObject_SetAttr(stop, reader->objects->value, event) < 0)
			return NULL;
		return REF(stop);
	}
	/* Its value apart, as a tuple would be taken for the arguments. */
	Py_CLEAR(reader->stop);
	stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, NULL);
	if (!stop)
		return NULL;
	reader->stop = REF(stop);
	if (PyObject_SetAttr(stop, reader->objects->value, event) < 0)
		Py_CLEAR(stop);
	return stop;
}

static PyObject *step_next(struct step *self)
{
	PyObject *result;
	struct reader *reader = self->reader;
	Py_XINCREF((PyObject *)reader); /* the end of a step lets go of it */
	PySendResult outcome = step_send(self, Py_None, &result);
	if (outcome == PYGEN_RETURN) {
		PyObject *stop = stop_with(reader, result);
		Py_DECREF(result);
		if (stop) /* as it is, with no traceback of before */
			PyErr_Restore(REF(PyExc_StopIteration), stop, NULL);
		result = NULL;
	}
	Py_XDECREF((PyObject *)reader);
	return result;
}

/* Called from Python, where the exception gets a traceback: it is nobody else's. */
static PyObject *step_method_send(struct step *self, PyObject *value)
{
	PyObject *result;
	if (step_send(self, value, &result) != PYGEN_RETURN)
		return result;
	PyObject *stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, result, NULL);
	Py_DECREF(result);
	if (stop) {
		PyErr_SetObject(PyExc_StopIteration, stop);
		Py_DECREF(stop);
	}
	return NULL;
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

static int reader_traverse(struct reader *self, visitproc visit, void *arg)
{
	Py_VISIT(TYPE_OF(self));
	Py_VISIT(self->events);
	Py_VISIT(self->stop);
	return 0;
}

static int reader_clear(struct reader *self)
{
	Py_CLEAR(self->events);
	Py_CLEAR(self->spare);
	Py_CLEAR(self->stop);
	return 0;
}

static void reader_dealloc(struct reader *self)
{
	PyTypeObject *type = TYPE_OF(self);
	PyObject_GC_UnTrack(self);
	reader_clear(self);
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
	{Py_tp_traverse, reader_traverse},
	{Py_tp_clear, reader_clear},
	{Py_am_anext, reader_anext},
	{Py_tp_members, reader_members},
	{0, NULL},
};

static PyType_Spec reader_spec = {
	.name = "aiobpf._native._objects.EventReader",
	.basicsize = sizeof(struct reader),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = reader_slots,
};

int add_readers(PyObject *module, struct objects *objects)
{
	objects->next_event = PyUnicode_InternFromString("_next_event");
	objects->value = PyUnicode_InternFromString("value");
	if (!objects->next_event || !objects->value || add_type(module, &step_spec, NULL, &objects->step))
		return -1;
	return add_type(module, &reader_spec, NULL, NULL);
}
