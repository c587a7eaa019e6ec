#include "objects.h"

struct objects *objects_of(PyTypeObject *type)
{
	for (; type; type = PyType_GetSlot(type, Py_tp_base)) {
		PyObject *module = PyType_GetModule(type);
		if (module && PyModule_GetDef(module) == &objects_definition)
			return PyModule_GetState(module);
		PyErr_Clear();
	}
	PyErr_SetString(PyExc_SystemError, "the type is none of aiobpf._native._objects");
	return NULL;
}

int add_type(PyObject *module, PyType_Spec *spec, PyObject *base, PyTypeObject **place)
{
	PyObject *type = PyType_FromModuleAndSpec(module, spec, base);
	if (!type)
		return -1;
	int error = PyModule_AddType(module, (PyTypeObject *)type);
	if (place && !error)
		*place = (PyTypeObject *)type;
	else
		Py_DECREF(type);
	return error;
}

/* Called when the module is imported, in each interpreter; each unit's types are added in turn. */
static int execute(PyObject *module)
{
	struct objects *objects = PyModule_GetState(module);
	if (add_events(module, objects) || add_runs(module, objects) || add_readers(module, objects) || add_leases(module))
		return -1;
	return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
	struct objects *objects = PyModule_GetState(module);
	Py_VISIT(objects->event);
	Py_VISIT(objects->layout);
	Py_VISIT(objects->run);
	Py_VISIT(objects->step);
	return 0;
}

static int clear(PyObject *module)
{
	struct objects *objects = PyModule_GetState(module);
	Py_CLEAR(objects->event);
	Py_CLEAR(objects->layout);
	Py_CLEAR(objects->run);
	Py_CLEAR(objects->step);
	Py_CLEAR(objects->next_event);
	Py_CLEAR(objects->value);
	return 0;
}

static void release(void *module)
{
	clear(module);
}

static PyModuleDef_Slot slots[] = {
	{Py_mod_exec, execute},
	{0, NULL},
};

struct PyModuleDef objects_definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "aiobpf._native._objects",
	.m_doc = "Python objects of which a program makes millions a second.",
	.m_size = sizeof(struct objects),
	.m_slots = slots,
	.m_traverse = traverse,
	.m_clear = clear,
	.m_free = release,
};

PyMODINIT_FUNC PyInit__objects(void)
{
	return PyModuleDef_Init(&objects_definition);
}
