from tfrecs.serving.monitoring import Histogram, Monitoring


def test_a_histogram_counts_up_to_each_bound():
    histogram = Histogram([1, 10])
    for value in (0.5, 1, 5, 100):
        histogram.observe(value)
    assert histogram.lines("h", (("a", "b"),)) == [
        'h_bucket{a="b",le="1"} 2',
        'h_bucket{a="b",le="10"} 3',
        'h_bucket{a="b",le="+Inf"} 4',
        'h_sum{a="b"} 106.5',
        'h_count{a="b"} 4',
    ]


def test_requests_are_counted_by_status():
    monitoring = Monitoring()
    for status in ("OK", "OK", "NOT_FOUND"):
        monitoring.request("m", "GRPC", status, 0.001)
    text = monitoring.text()
    labels = 'model_name="m",entrypoint="GRPC"'
    assert f':tensorflow:serving:request_count{{{labels},status="OK"}} 2' in text
    assert f':tensorflow:serving:request_count{{{labels},status="NOT_FOUND"}} 1' in text
    assert f":tensorflow:serving:request_latency_sum{{{labels}}} 3000" in text


def test_gauges_are_read_when_asked_and_labels_are_escaped():
    monitoring, values = Monitoring(), [1.0]
    monitoring.gauge("g", lambda: values[0], label='a"b\\')
    values[0] = 2.5
    assert monitoring.text() == '# TYPE g gauge\ng{label="a\\"b\\\\"} 2.5\n'


def test_batches_are_counted_by_rows():
    monitoring = Monitoring()
    monitoring.batch("m", 3)
    assert 'tfrecs_batch_rows_bucket{model_name="m",le="4"} 1' in monitoring.text()
    assert 'tfrecs_batch_rows_bucket{model_name="m",le="2"} 0' in monitoring.text()
