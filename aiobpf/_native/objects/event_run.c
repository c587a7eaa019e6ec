/*
 * Events of records that lie in one buffer, each made when it is asked for. The buffer is let go of at the last one, so
 * that a batch's memory can be used again.
 */
#include "objects.h"

static void run_end(struct run *self)
{
	self->left = 0;
	if (self->view.obj)
		PyBuffer_Release(&self->view);
	Py_CLEAR(self->offsets);
	Py_CLEAR(self->lengths);
}

static void run_dealloc(struct run *self)
{
	PyTypeObject *type = TYPE_OF(self);
	run_end(self);
	Py_CLEAR(self->layout);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static Py_ssize_t number_at(PyObject *numbers, Py_ssize_t index)
{
	PyObject *number = PySequence_GetItem(numbers, index);
	if (!number)
		return -1;
	Py_ssize_t found = PyLong_AsSsize_t(number);
	Py_DECREF(number);
	return found;
}

static PyObject *next_place(struct run *self, Py_ssize_t index)
{
	Py_ssize_t offset = number_at(self->offsets, index);
	Py_ssize_t length = offset < 0 ? -1 : number_at(self->lengths, index);
	if (offset < 0 || length < 0 || offset > self->view.len || length > self->view.len - offset) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_ValueError, "a record lies outside of the buffer");
		return NULL;
	}
	return event_make(self->layout, (unsigned char *)self->view.buf + offset, length);
}

PyObject *run_next(struct run *self)
{
	if (self->left <= 0)
		return NULL;
	PyObject *made;
	if (self->offsets) {
		made = next_place(self, PySequence_Size(self->offsets) - self->left);
	} else {
		made = event_of_row(self->layout, self->next);
		self->next += self->stride;
	}
	if (--self->left == 0)
		run_end(self);
	return made;
}

static PyObject *run_length_hint(struct run *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromSsize_t(self->left);
}

static struct run *run_new(struct layout *layout, PyObject *buffer)
{
	PyTypeObject *type = layout->objects->run;
	struct run *self = (struct run *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
	if (!self)
		return NULL;
	self->layout = REF(layout);
	if (PyObject_GetBuffer(buffer, &self->view, PyBUF_SIMPLE) < 0) {
		self->view.obj = NULL;
		Py_DECREF(self);
		return NULL;
	}
	return self;
}

PyObject *run_of_rows(PyObject *layout, PyObject *args)
{
	Py_ssize_t count;
	PyObject *buffer;
	if (!PyArg_ParseTuple(args, "On", &buffer, &count))
		return NULL;
	struct run *self = run_new((struct layout *)layout, buffer);
	if (!self)
		return NULL;
	self->next = self->view.buf;
	self->stride = self->layout->size;
	if (count < 0 || (self->stride && count > self->view.len / self->stride)) {
		PyErr_Format(PyExc_ValueError, "%zd records of %zd bytes do not fit the %zd there are", count,
			     self->stride, self->view.len);
		Py_DECREF(self);
		return NULL;
	}
	self->left = count;
	if (!count)
		run_end(self);
	return (PyObject *)self;
}

PyObject *run_of_places(PyObject *layout, PyObject *args)
{
	PyObject *buffer, *offsets, *lengths;
	if (!PyArg_ParseTuple(args, "OOO", &buffer, &offsets, &lengths))
		return NULL;
	struct run *self = run_new((struct layout *)layout, buffer);
	if (!self)
		return NULL;
	self->offsets = REF(offsets);
	self->lengths = REF(lengths);
	self->left = PySequence_Size(offsets);
	if (self->left < 0) {
		Py_DECREF(self);
		return NULL;
	}
	if (!self->left)
		run_end(self);
	return (PyObject *)self;
}

static PyMethodDef run_methods[] = {
	{"__length_hint__", (PyCFunction)run_length_hint, METH_NOARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot run_slots[] = {
	{Py_tp_doc, "An iterator over the events of a buffer."},
	{Py_tp_dealloc, run_dealloc},
	{Py_tp_iter, PyObject_SelfIter},
	{Py_tp_iternext, run_next},
	{Py_tp_methods, run_methods},
	{0, NULL},
};

static PyType_Spec run_spec = {
	.name = "aiobpf._native._objects.EventRun",
	.basicsize = sizeof(struct run),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = run_slots,
};

int add_runs(PyObject *module, struct objects *objects)
{
	return add_type(module, &run_spec, NULL, &objects->run);
}
