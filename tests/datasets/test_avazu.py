import pytest

from tfrecs.datasets import avazu, avazu_spec, read_avazu
from tfrecs.features import FeatureTransform

NAMES = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,"
    "device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)
ROW = (
    "10001868339616595934,0,14102123,1005,1,e151e245,7e091613,f028772b,ecad2386,7801e8d9,07d7df22,"
    "a99f214a,5d877109,8f5c9827,1,0,17747,320,50,1974,2,39,100019,33"
)


def write(folder, *rows):
    path = folder / "train.csv"
    path.write_text("\n".join([NAMES, *rows]) + "\n")
    return path


def test_the_time_becomes_hour_and_weekday(tmp_path):
    table = read_avazu(write(tmp_path, ROW))
    # the 21st of October 2014 was a Tuesday
    assert (table["hour_of_day"].to_pylist(), table["weekday"].to_pylist()) == ([23], [1])
    assert table["site_id"].to_pylist() == ["e151e245"]
    assert set(avazu_spec().names) == set(table.column_names)


def test_a_label_that_is_no_click_is_named(tmp_path):
    path = write(tmp_path, ROW, ROW.replace(",0,14102123", ",3,14102123"))
    with pytest.raises(ValueError, match=r"labels 0 and 1\. Received: 3 in line 3"):
        read_avazu(path)


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("id,click\n1,0\n")
    with pytest.raises(ValueError, match=r"hour"):
        read_avazu(path)


def test_the_real_rows_adapt(tfrecs_data):
    table = read_avazu(tfrecs_data / "avazu-sample" / "avazu_train.csv.gz")
    assert table.num_rows == 8087
    transform = FeatureTransform(avazu_spec(min_count=2)).adapt(table)
    assert transform.spec["device_ip"].size > 100


def test_a_folder_of_files_becomes_tables_without_users_and_items(tmp_path):
    write(tmp_path, ROW, ROW.replace(",0,14102123", ",1,14102123"))
    tables = avazu(tmp_path)
    assert tables.events["click"].to_pylist() == [0, 1]
    assert dict(tables.spec.ids) == {}
    with pytest.raises(ValueError, match=r"`data_dir` must be a folder of files \*\.csv"):
        avazu(tmp_path / "none")
