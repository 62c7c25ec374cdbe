//! Pages of users: the links between them, what is refused, and that nobody is missed or repeated whatever changes.

use std::collections::{BTreeMap, BTreeSet};

use authy_core::api::{page::ListCursor, role::RoleUserQuery, user::NewAccount};
use authy_tests::{TestUser, new_account, operator, wire::Answer};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};

use super::*;

/// An administrator, and users with these names, each at `example.org`.
struct Listed {
    app: TestApp,
    admin: TestUser,
    ids: Vec<UserId>,
}

impl Listed {
    async fn new(names: &[&str]) -> Self {
        let app = TestApp::new().await;
        let admin = app.admin().await;
        let mut ids = Vec::new();
        for name in names {
            ids.push(app.authy.users().create(&operator(), new_account(name, "user")).await.unwrap());
        }
        Self { app, admin, ids }
    }

    async fn get(&self, target: &str) -> Answer {
        self.request("GET", target).await
    }

    async fn request(&self, method: &str, target: &str) -> Answer {
        let head = format!("{method} {target} HTTP/1.1\nx-access-token: {}", self.admin.token.expose());
        send(self.app.address, &head, "").await
    }
}

/// The public IDs on a page.
fn ids(page: &Value) -> Vec<String> {
    let users = page["users"].as_array().unwrap_or_else(|| panic!("{page}"));
    users.iter().map(|user| user["public_id"].as_str().unwrap().to_owned()).collect()
}

fn link(page: &Value, name: &str) -> Option<String> {
    page[name].as_str().map(str::to_owned)
}

#[tokio::test]
async fn the_links_lead_to_the_end_and_back_to_the_first_page() {
    let listed = Listed::new(&["ant", "bee", "cat", "dog", "elk", "fox"]).await;
    listed.app.authy.users().delete(&operator(), listed.ids[2]).await.unwrap();
    let in_order: Vec<_> = listed.ids.iter().map(ToString::to_string).collect();
    let guest = "guest".parse().unwrap();
    for id in listed.ids.iter().filter(|id| **id != listed.ids[2]) {
        listed.app.authy.roles().grant(&operator(), &guest, *id).await.unwrap();
    }
    let without_the_deleted: Vec<_> = in_order.iter().filter(|id| **id != in_order[2]).cloned().collect();
    let everybody = [&[listed.admin.id.to_string()], in_order.as_slice()].concat();
    for (target, expected) in [
        ("/authy/users?per_page=2", &everybody),
        ("/authy/users?per_page=2&deleted=false&role=user", &without_the_deleted),
        ("/authy/users?per_page=3&role=user", &in_order),
        ("/authy/users?per_page=2&role=guest&validated=false", &Vec::new()),
        ("/authy/users?per_page=1&deleted=true", &vec![in_order[2].clone()]),
        ("/authy/role/guest/users", &without_the_deleted),
    ] {
        let (mut pages, mut next) = (Vec::new(), Some(target.to_owned()));
        while let Some(target) = next {
            let page = listed.get(&target).await.json();
            assert_eq!(page["total_records"], expected.len(), "{target}");
            assert_eq!(page.get("total_is_estimate"), None, "{target}");
            next = link(&page, "next_url");
            assert_eq!(target.contains("per_page="), next.as_ref().unwrap_or(&target).contains("per_page="));
            pages.push(page);
        }
        assert_eq!(pages.iter().flat_map(ids).collect::<Vec<_>>(), *expected, "{target}");
        let mut previous = link(pages.last().unwrap(), "prev_url");
        for page in pages.iter().rev().skip(1) {
            let back = listed.get(&previous.expect("a way back")).await.json();
            assert_eq!(ids(&back), ids(page), "{target}");
            // The way on from there leads to the same page as before.
            let (on, before) = (link(&back, "next_url").unwrap(), link(page, "next_url").unwrap());
            assert_eq!(ids(&listed.get(&on).await.json()), ids(&listed.get(&before).await.json()));
            previous = link(&back, "prev_url");
        }
        assert_eq!(previous, None, "the first page of {target}");
    }
}

#[tokio::test]
async fn a_numbered_page_leads_on_by_position_and_a_number_beyond_100_is_too_far() {
    let listed = Listed::new(&["ant", "bee", "cat", "dog"]).await;
    let second = listed.get("/authy/users?page=2&per_page=2").await.json();
    let [ant, bee, cat, dog] = [0, 1, 2, 3].map(|number| listed.ids[number].to_string());
    assert_eq!(ids(&second), [bee, cat]);
    let (next, previous) = (link(&second, "next_url").unwrap(), link(&second, "prev_url").unwrap());
    for link in [&next, &previous] {
        assert!(link.starts_with("/authy/users?per_page=2&after="), "{link}");
    }
    assert_eq!(ids(&listed.get(&next).await.json()), [dog]);
    assert_eq!(ids(&listed.get(&previous).await.json()), [listed.admin.id.to_string(), ant]);
    let beyond = listed.get("/authy/users?page=100&per_page=100").await.json();
    assert_eq!((ids(&beyond).len(), link(&beyond, "next_url")), (0, None));
    for target in ["/authy/users?page=101", "/authy/users?page=99999999999", "/authy/role/user/users?page=101"] {
        let refused = listed.get(target).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "page_too_far"), "{target}");
        let problem = refused.json();
        assert!(problem["message"].as_str().unwrap().contains("next_url"), "{problem}");
        assert_eq!(problem["fields"][0]["field"], "page");
    }
    // With another error beside it, both are reported.
    let refused = listed.get("/authy/users?page=101&per_page=0").await;
    assert_eq!((refused.code().as_str(), refused.json()["fields"].as_array().unwrap().len()), ("invalid_input", 2));
}

#[tokio::test]
async fn a_position_is_refused_when_it_is_broken_or_belongs_to_another_list() {
    let listed = Listed::new(&["ant", "anteater", "ape"]).await;
    let position = |page: &Value| {
        let link = link(page, "next_url").unwrap();
        link.split("after=").nth(1).unwrap().split('&').next().unwrap().to_owned()
    };
    let of = async |query: &str| position(&listed.get(&format!("/authy/users?per_page=1{query}")).await.json());
    let (all, of_role, of_search) = (of("").await, of("&role=user").await, of("&q=ant").await);
    for (target, accepted) in [
        (format!("/authy/users?after={all}"), true),
        (format!("/authy/users?per_page=7&after={all}"), true),
        (format!("/authy/users?after={all}&q=ant"), false),
        (format!("/authy/users?after={all}&role=user"), false),
        (format!("/authy/users?after={all}&deleted=false"), false),
        (format!("/authy/users?after={all}&validated=false"), false),
        (format!("/authy/users?after={of_role}&role=user"), true),
        (format!("/authy/users?after={of_role}&role=USER"), true),
        (format!("/authy/users?after={of_role}&role=admin"), false),
        (format!("/authy/users?after={of_role}"), false),
        (format!("/authy/role/user/users?after={of_role}"), false),
        (format!("/authy/users?after={of_search}&q=ANT"), true),
        (format!("/authy/users?after={of_search}&q=an"), false),
        (format!("/authy/users?after={of_search}"), false),
        (format!("/authy/users?after={}", &all[..all.len() - 2]), false),
        (format!("/authy/users?after={}", all.to_uppercase()), false),
        ("/authy/users?after=".to_owned(), false),
        ("/authy/users?after=1560247389123456.01976c2d-8f0b-7d41-a5a4-0d7b3a1f6c55".to_owned(), false),
        (format!("/authy/users?after={}", "A".repeat(5000)), false),
    ] {
        let answer = listed.get(&target).await;
        assert_eq!(listed.request("HEAD", &target).await.status, answer.status, "{target}");
        if accepted {
            assert_eq!(answer.status, 200, "{target}");
            continue;
        }
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_input"), "{target}");
        let wrong = &answer.json()["fields"][0];
        assert_eq!((&wrong["field"], &wrong["code"]), (&json!("after"), &json!("invalid_cursor")), "{target}");
    }
    let both = listed.get(&format!("/authy/users?page=2&after={all}")).await;
    assert_eq!((both.status, both.json()["fields"][0]["code"].as_str()), (400, Some("conflicting_fields")));
}

#[tokio::test]
async fn a_search_is_ordered_by_what_matches_and_has_nobody_twice() {
    let listed = Listed::new(&["annika", "bob", "ann", "carl", "anna"]).await;
    let sql = listed.app.sql().await;
    let set = "UPDATE authy.users SET email = $2, email_key = $2 WHERE username = $1";
    for (name, email) in [("bob", "anne@example.org"), ("carl", "anm@example.org"), ("ann", "aaa@example.org")] {
        sql.execute(set, &[&name, &email]).await.unwrap();
    }
    let names = |page: &Value| -> Vec<String> {
        page["users"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    for per_page in [1, 2, 100] {
        let (mut found, mut pages) = (Vec::new(), Vec::new());
        let mut next = Some(format!("/authy/users?per_page={per_page}&q=ANN"));
        while let Some(target) = next {
            let page = listed.get(&target).await.json();
            assert_eq!(page["total_records"], 4);
            found.extend(names(&page));
            next = link(&page, "next_url");
            pages.push(page);
        }
        // The address of Bob is between the names of the others; that of Ann does not match; Carl is not found.
        assert_eq!(found, ["ann", "anna", "bob", "annika"], "{per_page} a page");
        if let [.., before, last] = pages.as_slice() {
            let back = listed.get(&link(last, "prev_url").unwrap()).await.json();
            assert_eq!(names(&back), names(before));
        }
    }
}

#[tokio::test]
async fn a_search_compares_as_names_and_addresses_are_compared() {
    let listed = Listed::new(&["ada"]).await;
    for (name, email) in [("per", "per@Müller.example"), ("علی\u{200c}رضا", "ali@example.org")] {
        let (username, email) = (name.parse().unwrap(), email.parse().unwrap());
        let account = NewAccount { username, email, ..new_account("new", "user") };
        listed.app.authy.users().create(&operator(), account).await.unwrap();
    }
    for (q, name) in [
        ("per@müller.example", "per"),
        ("PER@MÜLLER.EX", "per"),
        ("per@xn--mller-kva.example", "per"),
        ("per@", "per"),
        ("علی\u{200c}ر", "علی\u{200c}رضا"),
        ("علیر", "علی\u{200c}رضا"),
        ("ADA@example", "ada"),
    ] {
        let query = UserQuery { q: Some(q.to_owned()), ..UserQuery::default() };
        let found = listed.admin.client.list_users(query).await.unwrap();
        let names: Vec<_> = found.users.iter().map(|user| user.username.as_str()).collect();
        assert_eq!(names, [name], "{q}");
    }
    // What is empty is no search: in the order of creation.
    let all = listed.get("/authy/users?q=").await.json();
    assert_eq!(all["users"][0]["public_id"], json!(listed.admin.id));
    assert_eq!(all["total_records"], 4);
}

/// What a walk through a list is about.
#[derive(Clone, Copy, Debug)]
enum Walk {
    All,
    NotDeleted,
    Deleted,
    Guests,
    Search,
    SearchOfGuests,
    Members,
}

impl Walk {
    const ALL: [Self; 7] =
        [Self::All, Self::NotDeleted, Self::Deleted, Self::Guests, Self::Search, Self::SearchOfGuests, Self::Members];

    /// Whether the list contains a user.
    fn selects(self, user: &Model) -> bool {
        match self {
            Self::All | Self::Search => true,
            Self::NotDeleted => !user.is_deleted,
            Self::Deleted => user.is_deleted,
            Self::Guests | Self::SearchOfGuests => user.is_guest,
            Self::Members => user.is_guest && !user.is_deleted,
        }
    }

    /// Returns the users of a page, and the positions of the next page and the previous one.
    async fn page(
        self,
        app: &TestApp,
        per_page: u32,
        after: Option<ListCursor>,
    ) -> (Vec<UserId>, Option<ListCursor>, Option<ListCursor>) {
        let guest = "guest".parse().unwrap();
        if matches!(self, Self::Members) {
            let query = RoleUserQuery { page: None, after };
            let (_, page) = app.authy.roles().list_users(&guest, &query).await.unwrap().unwrap();
            return (page.items.iter().map(|user| user.public_id).collect(), page.next, page.previous);
        }
        let query = UserQuery {
            per_page: Some(PageSize::new(per_page).unwrap()),
            q: matches!(self, Self::Search | Self::SearchOfGuests).then(|| "walk".to_owned()),
            role: matches!(self, Self::Guests | Self::SearchOfGuests).then_some(guest),
            deleted: match self {
                Self::NotDeleted => Some(false),
                Self::Deleted => Some(true),
                _ => None,
            },
            after,
            ..UserQuery::default()
        };
        let page = app.authy.users().list(&query).await.unwrap();
        (page.items.iter().map(|user| user.public_id).collect(), page.next, page.previous)
    }
}

/// A user, as the model knows it.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    is_deleted: bool,
    is_guest: bool,
}

/// Users, and what is known about each.
struct Crowd {
    app: TestApp,
    users: BTreeMap<UserId, Model>,
    random: SmallRng,
}

impl Crowd {
    async fn new(seed: u64, size: usize) -> Self {
        let app = TestApp::new().await;
        let mut crowd = Self { app, users: BTreeMap::new(), random: SmallRng::seed_from_u64(seed) };
        for _ in 0..size {
            crowd.sign_up().await;
        }
        for _ in 0..size {
            crowd.change().await;
        }
        crowd
    }

    async fn sign_up(&mut self) -> UserId {
        let name = format!("walk{}-{}", self.random.random_range(0..10), fresh_name("w"));
        let id = self.app.authy.users().create(&operator(), new_account(&name, "user")).await.unwrap();
        self.users.insert(id, Model::default());
        id
    }

    /// Changes somebody, and returns who it was.
    async fn change(&mut self) -> UserId {
        let all: Vec<_> = self.users.keys().copied().collect();
        let id = *all.choose(&mut self.random).unwrap();
        let choice = self.random.random_range(0..3);
        let (authy, guest) = (&self.app.authy, "guest".parse().unwrap());
        let user = self.users.get_mut(&id).unwrap();
        match (choice, user.is_deleted) {
            (0, _) => return self.sign_up().await,
            (_, true) => authy.users().restore(&operator(), id).await.unwrap(),
            (1, false) => authy.users().delete(&operator(), id).await.unwrap(),
            _ if user.is_guest => authy.roles().revoke(&operator(), &guest, id).await.unwrap(),
            _ => authy.roles().grant(&operator(), &guest, id).await.unwrap(),
        }
        match (choice, user.is_deleted) {
            (_, true) => user.is_deleted = false,
            (1, false) => user.is_deleted = true,
            _ => user.is_guest = !user.is_guest,
        }
        id
    }
}

#[tokio::test]
async fn nobody_who_is_there_all_the_time_is_missed_or_repeated_whatever_changes_meanwhile() {
    for (seed, walk) in Walk::ALL.into_iter().enumerate() {
        let mut crowd = Crowd::new(seed as u64, 45).await;
        let per_page = crowd.random.random_range(1..7);
        let before = crowd.users.clone();
        let mut changed = BTreeSet::new();
        let (mut seen, mut position): (Vec<UserId>, _) = (Vec::new(), None);
        let mut pages = 0;
        loop {
            let (users, next, previous) = walk.page(&crowd.app, per_page, position).await;
            assert_eq!(previous.is_none(), pages == 0, "{walk:?}");
            for id in &users {
                let was_there = before.get(id).is_some_and(|user| walk.selects(user));
                assert!(was_there || changed.contains(id), "{walk:?}: {id} is not selected");
            }
            seen.extend(users);
            pages += 1;
            for _ in 0..2 {
                changed.insert(crowd.change().await);
            }
            match next {
                Some(next) => position = Some(next),
                None => break,
            }
        }
        assert!(pages > 2 || matches!(walk, Walk::Members | Walk::Deleted), "{walk:?} was not walked: {pages}");
        let constant = before.iter().filter(|(id, user)| walk.selects(user) && !changed.contains(id));
        for (id, _) in constant {
            assert_eq!(seen.iter().filter(|seen| *seen == id).count(), 1, "{walk:?}, {per_page} a page: {id}");
        }
        // And back, with nothing changed meanwhile: everybody, in the reverse order.
        let mut forward = Vec::new();
        let (mut position, mut last) = (None, None);
        loop {
            let (users, next, previous) = walk.page(&crowd.app, per_page, position).await;
            forward.push(users);
            match next {
                Some(next) => position = Some(next),
                None => {
                    last.clone_from(&previous);
                    break;
                }
            }
        }
        let mut backward = vec![forward.last().unwrap().clone()];
        while let Some(position) = last {
            let (users, _, previous) = walk.page(&crowd.app, per_page, Some(position)).await;
            backward.push(users);
            last = previous;
        }
        backward.reverse();
        assert_eq!(backward.concat(), forward.concat(), "{walk:?}, {per_page} a page");
        let mut selected: Vec<_> =
            crowd.users.iter().filter(|(_, user)| walk.selects(user)).map(|(id, _)| *id).collect();
        let mut listed = forward.concat();
        selected.sort();
        listed.sort();
        assert_eq!(listed, selected, "{walk:?}");
    }
}
