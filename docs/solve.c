#include "solve.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

void integrate(slope f, double t, double end, int steps, double *y, size_t n, void *data)
{
    double h = (end - t) / steps, *k = malloc(6 * n * sizeof(double)), *at = k + 4 * n;
    for (int i = 0; i < steps; i++, t += h) {
        f(t, y, k, n, data);
        for (int stage = 1; stage < 4; stage++) {
            double part = stage == 3 ? h : h / 2;
            for (size_t j = 0; j < n; j++)
                at[j] = y[j] + part * k[(stage - 1) * n + j];
            f(t + part, at, k + stage * n, n, data);
        }
        for (size_t j = 0; j < n; j++)
            y[j] += h / 6 * (k[j] + 2 * k[n + j] + 2 * k[2 * n + j] + k[3 * n + j]);
    }
    free(k);
}

double descend(objective f, unsigned n, double *x, int steps, void *data)
{
    double *gradient = malloc(2 * n * sizeof(double)), *at = gradient + n;
    double rate = 1, value = f(n, x, gradient, data);
    while (steps-- > 0) {
        for (unsigned i = 0; i < n; i++)
            at[i] = x[i] - rate * gradient[i];
        if (f(n, at, NULL, data) < value) {
            for (unsigned i = 0; i < n; i++)
                x[i] = at[i];
            value = f(n, x, gradient, data);
            rate *= 2;
        } else {
            rate /= 2;
        }
    }
    free(gradient);
    return value;
}

double trapezoid(const integrand *g, double a, double b, int intervals)
{
    double h = (b - a) / intervals, sum = (g->f(a, g->data) + g->f(b, g->data)) / 2;
    for (int i = 1; i < intervals; i++)
        sum += g->f(a + i * h, g->data);
    return h * sum;
}

double power(double x, void *exponent)
{
    return pow(x, *(double *)exponent);
}

static listener kept;

void listen(listener f)
{
    kept = f;
}

void tell(int number)
{
    kept(number);
}

struct task {
    double (*f)(double x);
    double x, result;
};

static void *work(void *data)
{
    struct task *task = data;
    task->result = task->f(task->x);
    return NULL;
}

double sum_in_threads(double (*f)(double x), int n)
{
    struct task *tasks = malloc(n * sizeof *tasks);
    pthread_t *threads = malloc(n * sizeof *threads);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        tasks[i] = (struct task){f, i, 0};
        pthread_create(&threads[i], NULL, work, &tasks[i]);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        sum += tasks[i].result;
    }
    free(threads);
    free(tasks);
    return sum;
}
